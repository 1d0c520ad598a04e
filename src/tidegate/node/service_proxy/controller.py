"""Keeps the sockets of all Services open, and gives load balancers their addresses."""

from __future__ import annotations

import errno
import logging

from tidegate.kube.controller import Context, Controller
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import Key, Object, is_deleting, key_of, labels_of, namespace_of
from tidegate.kube.resources import ENDPOINT_SLICES, SERVICES
from tidegate.node.fields import parts
from tidegate.node.service_proxy.listeners import (
    Listener,
    endpoints_of,
    free_address,
    listeners_of,
    load_balancer_of,
    wants_load_balancer,
)
from tidegate.node.service_proxy.proxy import Endpoints, TcpProxy, is_taken

logger = logging.getLogger(__name__)

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
_RETRY_SECONDS = 10.0


class ServiceProxy:
    """A proxy for each port of each Service.

    Args:
        context: client, informers and clock.
        bind: the address of node ports.
    """

    def __init__(self, context: Context, *, bind: str) -> None:
        self._client = context.client
        self._bind = bind
        self._services = context.informers.of(SERVICES)
        self._slices = context.informers.of(ENDPOINT_SLICES)
        self._slices.add_index("service", _service_of)
        self._open: dict[Key, dict[Listener, TcpProxy]] = {}
        self._addresses: dict[Key, str] = {}
        self._events = EventRecorder(context.client, "service-proxy", clock=context.clock)
        self._controller = Controller(
            "service-proxy", self._reconcile, clock=context.clock, workers=1
        ).watch(self._services)

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._slices.wait_synced()
        await self._services.wait_synced()
        for service in self._services.items():
            self._keep_address(service)
        try:
            await self._controller.run()
        finally:
            for key in list(self._open):
                await self._close(key, set(self._open[key]))

    async def _reconcile(self, key: Key) -> float | None:
        service = self._services.get(key.name, key.namespace)
        if service is None or is_deleting(service):
            self._addresses.pop(key, None)
            await self._close(key, set(self._open.get(key, {})))
            return None
        address = await self._load_balancer(service)
        wanted = listeners_of(service, bind=self._bind, load_balancer=address)
        await self._close(key, set(self._open.get(key, {})) - wanted)
        problems = [self._listen(key, item) for item in sorted(wanted)]
        refused = [problem for problem in problems if problem]
        for problem in refused:
            await self._events.warning(service, "ListenFailed", problem)
        return _RETRY_SECONDS if refused else None

    def _listen(self, key: Key, listener: Listener) -> str:
        """Open a socket; what to tell the user when it cannot be."""
        opened = self._open.setdefault(key, {})
        if listener in opened:
            return ""
        proxy = TcpProxy(self._endpoints(key, listener.port_name))
        try:
            proxy.open(listener.address, listener.port)
        except OSError as error:
            return explain(listener, error)
        opened[listener] = proxy
        return ""

    def _endpoints(self, key: Key, port_name: str) -> Endpoints:
        return lambda: endpoints_of(self._slices.by_index("service", str(key)), port_name)

    async def _close(self, key: Key, listeners: set[Listener]) -> None:
        opened = self._open.get(key, {})
        for listener in listeners:
            proxy = opened.pop(listener, None)
            if proxy is not None:
                await proxy.close()
        if not opened:
            self._open.pop(key, None)

    def _keep_address(self, service: Object) -> None:
        address = load_balancer_of(service)
        if address and wants_load_balancer(service):
            self._addresses.setdefault(key_of(service), address)

    async def _load_balancer(self, service: Object) -> str:
        """The Service's address, found and written if it has none yet; empty if it wants none."""
        key = key_of(service)
        if not wants_load_balancer(service):
            if self._addresses.pop(key, None) is not None:
                await self._write_address(service, None)
            return ""
        address = self._addresses.get(key) or free_address(
            self._addresses.values(), lambda address: _is_free(service, address)
        )
        if address is None:
            return ""
        self._addresses[key] = address
        if load_balancer_of(service) != address:
            await self._write_address(service, address)
        return address

    async def _write_address(self, service: Object, address: str | None) -> None:
        ingress = [{"ip": address, "ipMode": "VIP"}] if address else None
        await self._client.patch(
            SERVICES,
            key_of(service).name,
            {"status": {"loadBalancer": {"ingress": ingress}}},
            namespace=namespace_of(service),
            subresource="status",
        )


def _is_free(service: Object, address: str) -> bool:
    return not any(is_taken(address, int(port["port"])) for port in parts(service["spec"], "ports"))


def _service_of(item: Object) -> tuple[str, ...]:
    name = labels_of(item).get(SERVICE_NAME_LABEL)
    return (str(Key(namespace_of(item), name)),) if name else ()


def explain(listener: Listener, error: OSError) -> str:
    """What to tell the user about a socket that cannot be opened, and what to do."""
    where = f"{listener.address}:{listener.port}"
    if error.errno == errno.EACCES:
        return (
            f"cannot listen on {where}: ports below 1024 need a privilege; allow it with"
            f" `sudo sysctl net.ipv4.ip_unprivileged_port_start={listener.port}`."
            " The Service's other ports are served."
        )
    if error.errno == errno.EADDRINUSE:
        return (
            f"cannot listen on {where}: another program does; end it or choose another port."
            " The Service's other ports are served."
        )
    return f"cannot listen on {where}: {error.strerror}. The Service's other ports are served."
