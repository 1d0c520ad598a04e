"""Where the service is reached: the gateway's address and the host name it routes by.

Both are read from the Ingress of the route, which bears the service's name: the first rule's
host goes into the Host header, the first load balancer address in the status is connected to.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, cast

from portal.errors import GatewayUnknown, KubernetesError
from portal.kubernetes import KubernetesClient, Object

CACHE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """`host` is the service's host name; `address` and `port` are the gateway's own."""

    host: str
    address: str
    port: int

    @property
    def authority(self) -> str:
        """Address and port as they stand in a URL."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL to connect to."""
        return f"http://{self.authority}"


def gateway_of(ingress: Object) -> Gateway:
    """Tell the gateway from an Ingress.

    Raises:
        GatewayUnknown: the Ingress has no host, or no address yet.
    """
    rule = _first(ingress.get("spec"), "rules")
    host = str(rule.get("host") or "")
    if not host:
        raise GatewayUnknown("The Ingress of the service names no host (spec.rules[0].host).")
    entry = _first(_mapping(ingress.get("status")).get("loadBalancer"), "ingress")
    address = str(entry.get("ip") or entry.get("hostname") or "")
    if not address:
        raise GatewayUnknown(
            f"The gateway has given {host} no address yet (status.loadBalancer.ingress is empty)."
        )
    port = _first(entry, "ports").get("port")
    return Gateway(host=host, address=address, port=port if isinstance(port, int) else 80)


class GatewayFinder:
    """Finds the gateway of one service and remembers it for a few seconds."""

    def __init__(self, kubernetes: KubernetesClient, *, namespace: str, service: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._service = service
        self._lock = asyncio.Lock()
        self._found: Gateway | None = None
        self._found_at = 0.0

    async def find(self) -> Gateway:
        """The gateway now.

        Raises:
            GatewayUnknown: the service has no route, or the route no address yet.
            KubernetesError: the API refused or failed.
        """
        async with self._lock:
            age = time.monotonic() - self._found_at
            if self._found is None or age > CACHE_SECONDS:
                self._found = None
                self._found = await self._look_up()
                self._found_at = time.monotonic()
            return self._found

    def forget(self) -> None:
        """Look again at the next call: the remembered address did not answer."""
        self._found = None

    async def _look_up(self) -> Gateway:
        try:
            ingress = await self._kubernetes.get_ingress(self._namespace, self._service)
        except KubernetesError as error:
            if error.status == 404:
                raise GatewayUnknown(
                    f"The service {self._namespace}/{self._service} has no route yet: "
                    f"there is no Ingress of that name. Is the service deployed?"
                ) from error
            raise
        return gateway_of(ingress)


def _mapping(value: object) -> Object:
    return cast(Object, value) if isinstance(value, dict) else {}


def _first(parent: object, field: str) -> Object:
    """The first element of a list field, or an empty object."""
    elements: Any = _mapping(parent).get(field)
    if not isinstance(elements, list) or not elements:
        return {}
    return _mapping(cast(list[Any], elements)[0])
