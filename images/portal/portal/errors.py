"""What can go wrong, as one tree.

    PortalError
    ├── ConfigurationError      an environment variable does not make sense
    ├── KubernetesError         the Kubernetes API refused, failed or cannot be reached
    │   └── Forbidden           ... because the ServiceAccount lacks the right (403)
    ├── GatewayUnknown          no address of the gateway can be told from the Ingress (yet)
    ├── RequestFailed           one request of a pressure test got no image
    └── RunRefused              a pressure test cannot be started (one is running already)

The messages are shown to the person at the page: they say what was wrong and what would help.
"""

from __future__ import annotations


class PortalError(Exception):
    """Base of everything the portal raises on purpose."""


class ConfigurationError(PortalError):
    """An environment variable has a value that cannot be used."""


class KubernetesError(PortalError):
    """A call of the Kubernetes API failed; `status` is the HTTP status, 0 without an answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Forbidden(KubernetesError):  # noqa: N818 - named as the API's reason is
    """The ServiceAccount may not do this."""


class GatewayUnknown(PortalError):  # noqa: N818 - a state of the cluster, not a fault
    """The Ingress is missing or does not name an address yet."""


class RequestFailed(PortalError):  # noqa: N818 - shown as the reason on a tile
    """A request of a pressure test did not bring an image."""


class RunRefused(PortalError):  # noqa: N818 - an answer to the person who pressed start
    """Another run is in work."""
