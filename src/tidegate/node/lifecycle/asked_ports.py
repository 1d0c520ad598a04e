"""Ports of containers that declare none: those that `PORT` or their images name.

Where several containers make a pod, one declares the port that is served. The others listen where
their own `PORT` says, or as their images do, and are called by that very number: if it is free on
this machine it is the real one too.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.kube.objects import Object
from tidegate.node.fields import parts

_LAST_PORT = 65535


def asked_port(container: Object) -> int | None:
    """The port in `PORT`, for a container that declares none in `ports`."""
    if container.get("ports"):
        return None
    texts = [str(e.get("value") or "") for e in parts(container, "env") if e["name"] == "PORT"]
    text = texts[-1] if texts else ""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= _LAST_PORT:
        return None
    return int(text)


def neighbour_ports(pod: Object, container: Object, ports: Iterable[int]) -> set[int]:
    """Those of a container's ports by whose number its neighbours call it."""
    spec: Object = pod["spec"]
    sidecars = [c for c in parts(spec, "initContainers") if c.get("restartPolicy") == "Always"]
    beside = [*parts(spec, "containers"), *sidecars]
    if container.get("ports") or len(beside) < 2 or container not in beside:
        return set()
    served = {port["containerPort"] for other in beside for port in parts(other, "ports")}
    return set(ports) - served
