"""uvicorn as a part of a larger process: no signal handlers, its socket bound by us, TLS by us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

from tidegate.apiserver.certificates import KeyPair
from tidegate.apiserver.http.protocol import ApiProtocol
from tidegate.apiserver.http.websockets import MAX_MESSAGE_BYTES, SocketProtocol
from tidegate.kube.errors import UserError

# Go's HTTP client gives up idle connections after 90 s; closing first would race its requests.
_KEEP_ALIVE_SECONDS = 120
_GRACE_SECONDS = 3
# For the client behind a WebSocket to answer a ping; it may have much to send first.
_PONG_SECONDS = 60
_FLUSH_SECONDS = 0.05
_BACKLOG = 1024


def tls_context(server: KeyPair, authority: str) -> ssl.SSLContext:
    """TLS 1.2 and up; a client certificate is asked for, and must be ours when it is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UserError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"the API cannot listen on {host}:{port}: {error.strerror}; "
            "stop what uses the port, or choose another one"
        ) from error
    listener.setblocking(False)
    return listener


class HttpServer:
    """Serves one ASGI application on one listening socket.

    Args:
        application: the ASGI application.
        listener: bound and listening; closed at the end.
        tls: the context; certificates loaded into it later count for new connections.
        on_stop: called before open connections are waited for, to end endless responses.
    """

    def __init__(
        self,
        application: Any,
        listener: socket.socket,
        tls: ssl.SSLContext,
        *,
        on_stop: Callable[[], None],
    ) -> None:
        config = uvicorn.Config(
            application,
            http=ApiProtocol,
            ws=SocketProtocol,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            ws_ping_timeout=_PONG_SECONDS,
            lifespan="off",
            interface="asgi3",
            loop="none",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        config.load()
        config.ssl = tls
        self._server = _EmbeddedServer(config)
        self._listener = listener
        self._on_stop = on_stop

    async def run(self) -> None:
        """Serve until cancelled; then let the requests at hand finish, for a few seconds."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        try:
            await asyncio.shield(serving)
        finally:
            if not serving.done():
                self._on_stop()
                self._server.stop()
                await serving
            self._listener.close()

    async def wait_ready(self) -> None:
        """Return as soon as connections are accepted."""
        await self._server.ready.wait()


class _EmbeddedServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals belong to the process around us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Refresh the `Date` header every second until told to stop."""
        while not self._stopping.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the requests at hand finish for a while, then close every connection."""
        del sockets
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            _, late = await asyncio.wait(set(state.tasks), timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
        # Clients that keep idle connections may never answer TLS's goodbye.
        await asyncio.sleep(_FLUSH_SECONDS)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()
