"""One pod as its worker and its containers' runners share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tidegate.kube.objects import Object, name_of, namespace_of, resource_version_of, uid_of
from tidegate.kube.real_ports import PORTS_ANNOTATION, ports_annotation, real_ports_of
from tidegate.kube.resources import PODS
from tidegate.node.images.manifest import ImagePort
from tidegate.node.lifecycle.directory import PodDirectory
from tidegate.node.lifecycle.environment import wanted_ports
from tidegate.node.lifecycle.host import Host
from tidegate.node.lifecycle.placement import Placement
from tidegate.node.lifecycle.volumes import Volumes


@dataclass
class PodContext:
    """The pod as last seen, its place and its directory.

    Attributes:
        pod: the newest known state.
        placement: what it has of the node.
        changed: called when a container's state changes; the argument is whether it is urgent.
    """

    host: Host
    pod: Object
    placement: Placement
    changed: Callable[[bool], None]
    directory: PodDirectory = field(init=False)
    volumes: Volumes = field(init=False)

    def __post_init__(self) -> None:
        self.directory = PodDirectory(self.host.data_dir, uid_of(self.pod))
        self.volumes = Volumes(self.host, self.directory)

    def observe(self, pod: Object) -> None:
        """Take a state from the API unless a newer one is known."""
        if _version(pod) >= _version(self.pod):
            self.pod = pod

    async def ensure_ports(self, container: Object, image_ports: Sequence[ImagePort]) -> None:
        """Give the container's ports real ones, and say so on the pod before it starts."""
        wanted, itself = wanted_ports(self.pod, container, image_ports)
        self.placement = self.host.placer.add_ports(self.placement, wanted, itself)
        # What counts is what stands on the pod: an earlier write of them may have failed.
        if self.placement.ports.items() <= real_ports_of(self.pod).items():
            return
        annotation = {PORTS_ANNOTATION: ports_annotation(self.placement.ports)}
        self.observe(
            await self.host.client.patch(
                PODS,
                name_of(self.pod),
                {"metadata": {"annotations": annotation}},
                namespace=namespace_of(self.pod),
            )
        )


def _version(pod: Object) -> int:
    text = resource_version_of(pod)
    return int(text) if text.isdigit() else 0
