"""What can be wrong with an image. All of it is for the user to mend."""

from __future__ import annotations

from tidegate.kube.errors import UserError


class ImageError(UserError):
    """An image cannot be used; the pod waits with reason ErrImagePull and this message."""


class UnknownImageError(ImageError):
    """No image of that reference is known here."""

    def __init__(self, reference: str) -> None:
        super().__init__(
            f'image "{reference}" is not known on this node; make it known with: '
            f"tidegate image add DIRECTORY --alias {reference}"
        )
        self.reference = reference


class BrokenImageError(ImageError):
    """The image's directory, manifest or environment is not usable."""
