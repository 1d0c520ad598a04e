"""Puts the parts together and serves both ports in one event loop until told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine, Generator
from contextlib import AsyncExitStack, contextmanager

import uvicorn
from starlette.types import ASGIApp

from portal.gateway import GatewayFinder
from portal.kubernetes import KubernetesClient
from portal.pages import Pages
from portal.pods import PodWatch
from portal.pressure.runner import PressureTest
from portal.pressure.sender import GatewaySender
from portal.pressure.signal import Signal
from portal.proxy.app import ServicePageProxy
from portal.settings import Settings

_log = logging.getLogger(__name__)

# Requests in work may end within this time after SIGTERM (Kubernetes kills after 30 s).
GRACE_SECONDS = 25


class _Server(uvicorn.Server):
    """A server that leaves the signals to the program, which has two of them."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listen(address: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=512)


async def serve(
    settings: Settings, *, pages: socket.socket, service_page: socket.socket, stop: asyncio.Event
) -> None:
    """Serve the portal's pages and the service's page until `stop` is set.

    What is in work then may end within the grace period; the pressure test is dropped.
    """
    async with AsyncExitStack() as stack:
        kubernetes = KubernetesClient(
            host=settings.kubernetes_host,
            port=settings.kubernetes_port,
            service_account_dir=settings.service_account_dir,
        )
        stack.push_async_callback(kubernetes.aclose)
        finder = GatewayFinder(kubernetes, namespace=settings.namespace, service=settings.service)
        sender = GatewaySender(finder, path=settings.path, timeout=settings.request_timeout)
        stack.push_async_callback(sender.aclose)
        proxy = ServicePageProxy(finder, service=settings.service)
        stack.push_async_callback(proxy.aclose)
        changed = Signal()

        def polled() -> None:
            test.sample()
            changed.notify()

        watch = PodWatch(
            kubernetes,
            namespace=settings.namespace,
            service=settings.service,
            interval=settings.poll_interval,
            on_poll=polled,
        )
        test = PressureTest(sender, watch, changed)
        app = Pages(settings, finder, test, watch, changed).app
        _log.info("portal on %s, page of the service on %s", _name(pages), _name(service_page))
        await _until(
            stop,
            servers=[
                (_server(app, dated=True), pages),
                (_server(proxy, dated=False), service_page),
            ],
            background=[watch.run(), test.serve()],
            changed=changed,
        )


async def _until(
    stop: asyncio.Event,
    *,
    servers: list[tuple[_Server, socket.socket]],
    background: list[Coroutine[None, None, None]],
    changed: Signal,
) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in background]
        for server, listener in servers:
            group.create_task(server.serve(sockets=[listener]))
        await stop.wait()
        for task in tasks:
            task.cancel()
        changed.close()
        for server, _ in servers:
            server.should_exit = True


def _name(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"{address} port {port}"


def _server(app: ASGIApp, *, dated: bool) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_level="info",
            access_log=False,
            server_header=False,
            date_header=dated,
            proxy_headers=False,
            ws="websockets-sansio",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
