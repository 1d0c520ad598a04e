"""Which addresses and ports a Service listens on: pure reading of the object.

A cluster IP and a load balancer's address are loopback addresses, so every Service may have the
ports it wants; node ports are opened on the platform's bind address.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from tidegate.kube.objects import Object, labels_of
from tidegate.node.fields import part, parts

LOAD_BALANCER_NETWORK = ipaddress.ip_network("127.88.0.0/16")
_MOST_ADDRESSES = 4096

# The gateway reads the endpoints of these; nobody connects to their addresses.
_NOT_SERVED_LABELS = ("networking.internal.knative.dev/serviceType", "serving.knative.dev/revision")


@dataclass(frozen=True, order=True)
class Listener:
    """One listening socket of a Service.

    Attributes:
        address, port: where it listens.
        port_name: name of the Service's port, by which endpoint slices know it.
    """

    address: str
    port: int
    port_name: str


def is_served(service: Object) -> bool:
    """Whether connections to the Service are for this node to forward."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
        return False
    if not spec.get("selector") or spec.get("loadBalancerClass"):
        return False
    labels = labels_of(service)
    return not any(label in labels for label in _NOT_SERVED_LABELS)


def wants_load_balancer(service: Object) -> bool:
    """Whether it is of type LoadBalancer and served here."""
    return service["spec"].get("type") == "LoadBalancer" and is_served(service)


def listeners_of(service: Object, *, bind: str, load_balancer: str) -> set[Listener]:
    """The sockets of a Service; `load_balancer` is its address, empty if it has none."""
    if not is_served(service):
        return set()
    cluster_ip = str(service["spec"].get("clusterIP") or "")
    found: set[Listener] = set()
    for port in parts(service["spec"], "ports"):
        if port.get("protocol", "TCP") != "TCP":
            continue
        name, number = str(port.get("name") or ""), int(port["port"])
        found.update(Listener(ip, number, name) for ip in (cluster_ip, load_balancer) if ip)
        if port.get("nodePort"):
            found.add(Listener(bind, int(port["nodePort"]), name))
    return found


def load_balancer_of(service: Object) -> str:
    """The address in the Service's status, empty if there is none of this node's network."""
    for ingress in parts(part(part(service, "status"), "loadBalancer"), "ingress"):
        address = str(ingress.get("ip") or "")
        # Whoever may write a status may have written anything.
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(address) in LOAD_BALANCER_NETWORK:
                return address
    return ""


def free_address(used: Iterable[str], is_free: Callable[[str], bool]) -> str | None:
    """The lowest usable address of the load balancers' network.

    Args:
        used: addresses of other Services.
        is_free: whether no other program, such as a second platform, has the address's ports.
    """
    taken = set(used)
    hosts = islice((str(host) for host in LOAD_BALANCER_NETWORK.hosts()), _MOST_ADDRESSES)
    return next((host for host in hosts if host not in taken and is_free(host)), None)


def endpoints_of(slices: Iterable[Object], port_name: str) -> list[tuple[str, int]]:
    """Address and port of every ready endpoint."""
    found: list[tuple[str, int]] = []
    for item in slices:
        port = next(
            (
                int(port["port"])
                for port in parts(item, "ports")
                if str(port.get("name") or "") == port_name and port.get("port")
            ),
            None,
        )
        if port is None:
            continue
        for endpoint in parts(item, "endpoints"):
            # Absent means ready, as Kubernetes has it.
            if part(endpoint, "conditions").get("ready") is not False:
                found.extend((str(address), port) for address in endpoint.get("addresses") or ())
    return found
