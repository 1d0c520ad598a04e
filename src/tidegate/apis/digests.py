"""Keeps a Revision on the images that it began with.

Knative resolves tags when a Revision is created. Here the node does, for the Revision's first pod;
the status remembers the digests, and later pods are made with them, whatever the tags mean by then.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.apis import serving
from tidegate.apis.fields import items
from tidegate.apis.settings import ADMISSION
from tidegate.kube.objects import Key, Object, labels_of, namespace_of

Find = Callable[[Key], "Object | None"]

_DEFAULT_REGISTRY = "index.docker.io"
_KINDS = (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses"))


def pin_images(pod: Object, find_revision: Find) -> None:
    """Put the known digests of its Revision into a new pod, in place."""
    name = labels_of(pod).get(serving.REVISION_LABEL)
    revision = find_revision(Key(namespace_of(pod), name)) if name else None
    if revision is None:
        return
    for kind, status in _KINDS:
        tags = {c.get("name"): c.get("image") for c in items(revision, "spec", kind)}
        digests = {
            known.get("name"): str(known["imageDigest"])
            for known in items(revision, "status", status)
            if known.get("imageDigest")
        }
        for container in items(pod, "spec", kind):
            image = str(container.get("image"))
            digest = digests.get(container.get("name"))
            # Who changed the Deployment by hand wants what is written there.
            if digest and image == tags.get(container.get("name")) and is_resolved(image):
                container["image"] = digest


def is_resolved(image: str) -> bool:
    """Whether a reference is to be kept at its digest: it is a tag of a registry not exempt."""
    return "@" not in image and registry_of(image) not in _exempt()


def registry_of(image: str) -> str:
    """The registry of an image reference."""
    head, slash, _ = image.partition("/")
    named = bool(slash) and ("." in head or ":" in head or head == "localhost")
    return head if named else _DEFAULT_REGISTRY


def _exempt() -> frozenset[str]:
    return ADMISSION.current.deployment.registries_skipping_tag_resolving
