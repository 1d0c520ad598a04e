"""Variables that tell a container the Services of its namespace, as `enableServiceLinks` asks."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.kube.client import Client
from tidegate.kube.objects import Object, name_of, namespace_of
from tidegate.kube.resources import SERVICES
from tidegate.node.fields import parts
from tidegate.node.service_proxy.listeners import is_served


async def service_links(client: Client, pod: Object) -> dict[str, str]:
    """The variables for a pod, none if it does not want them. Raises ApiError."""
    if not pod["spec"].get("enableServiceLinks"):
        return {}
    listing = await client.list(SERVICES, namespace=namespace_of(pod))
    return variables_of(listing.items)


def variables_of(services: Iterable[Object]) -> dict[str, str]:
    """Kubernetes' own names, and those of Docker's links, for Services with an address."""
    values: dict[str, str] = {}
    for service in services:
        address = str(service["spec"].get("clusterIP") or "")
        ports = parts(service["spec"], "ports")
        if not address or not ports or not is_served(service):
            continue
        prefix = _name(name_of(service))
        values[f"{prefix}_SERVICE_HOST"] = address
        values[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        values[f"{prefix}_PORT"] = _url(ports[0], address)
        for port in ports:
            if port.get("name"):
                values[f"{prefix}_SERVICE_PORT_{_name(port['name'])}"] = str(port["port"])
            values |= _link(prefix, port, address)
    return values


def _link(prefix: str, port: Object, address: str) -> dict[str, str]:
    protocol = _protocol(port)
    link = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
    return {
        link: _url(port, address),
        f"{link}_PROTO": protocol,
        f"{link}_PORT": str(port["port"]),
        f"{link}_ADDR": address,
    }


def _url(port: Object, address: str) -> str:
    return f"{_protocol(port)}://{address}:{port['port']}"


def _protocol(port: Object) -> str:
    return str(port.get("protocol") or "TCP").lower()


def _name(name: str) -> str:
    return name.upper().replace("-", "_")
