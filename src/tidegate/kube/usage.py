"""What nodes and pods use of CPU and memory, as it goes from where it is measured to the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ResourceUsage:
    """Use of one container or node.

    Attributes:
        cpu: cores, averaged over the sample's window.
        memory: bytes at the end of the window.
    """

    cpu: float
    memory: int


@dataclass(frozen=True)
class NodeSample:
    """The use of a node.

    Attributes:
        at: the end of the window, seconds since the epoch.
        window: its length in seconds.
    """

    name: str
    at: float
    window: float
    usage: ResourceUsage


@dataclass(frozen=True)
class PodSample:
    """The use of a pod's running containers, by their names; times as in `NodeSample`."""

    namespace: str
    name: str
    uid: str
    at: float
    window: float
    containers: Mapping[str, ResourceUsage]


class UsageSource(Protocol):
    """Whoever measures."""

    async def nodes(self) -> Sequence[NodeSample]:
        """The nodes that have been measured long enough."""
        ...

    async def pods(self, namespace: str | None = None) -> Sequence[PodSample]:
        """The running pods, of one namespace or of all, that have been measured long enough."""
        ...
