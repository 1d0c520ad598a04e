"""Ports of containers that declare none: those that `PORT` or their images name.

Where several containers make a pod, one declares the port that is served. The others listen where
their own `PORT` says, or as their images do, and are called by that very number: if it is free on
this machine it is the real one too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tidegate.kube.objects import Object
from tidegate.node.fields import parts
from tidegate.node.images.manifest import ImagePort

_LAST_PORT = 65535
_APART = 1000


def asked_port(container: Object) -> int | None:
    """The port in `PORT`, for a container that declares none in `ports`."""
    if container.get("ports"):
        return None
    texts = [str(e.get("value") or "") for e in parts(container, "env") if e["name"] == "PORT"]
    text = texts[-1] if texts else ""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= _LAST_PORT:
        return None
    return int(text)


def ports_beside(
    pod: Object, container: Object, image_ports: Sequence[ImagePort]
) -> Sequence[ImagePort]:
    """The image's ports, but those that a neighbour serves moved to numbers that none serves.

    Two containers with the same image could not both listen otherwise.
    """
    beside = _beside(pod)
    names = [other["name"] for other in beside]
    if container.get("ports") or container["name"] not in names:
        return image_ports
    served = _served(beside)
    step = _APART * (names.index(container["name"]) + 1)
    return [
        port if port.container not in served else _moved(port, step, served) for port in image_ports
    ]


def neighbour_ports(pod: Object, container: Object, ports: Iterable[int]) -> set[int]:
    """Those of a container's ports by whose number its neighbours call it."""
    beside = _beside(pod)
    is_beside = any(other["name"] == container["name"] for other in beside)
    if container.get("ports") or len(beside) < 2 or not is_beside:
        return set()
    return set(ports) - _served(beside)


def _beside(pod: Object) -> list[Object]:
    spec: Object = pod["spec"]
    sidecars = [c for c in parts(spec, "initContainers") if c.get("restartPolicy") == "Always"]
    return [*parts(spec, "containers"), *sidecars]


def _served(containers: Iterable[Object]) -> set[int]:
    return {int(port["containerPort"]) for c in containers for port in parts(c, "ports")}


def _moved(port: ImagePort, step: int, served: Collection[int]) -> ImagePort:
    number = (port.container + step) % _LAST_PORT + 1
    while number in served:
        number = number % _LAST_PORT + 1
    return port.model_copy(update={"container": number})
