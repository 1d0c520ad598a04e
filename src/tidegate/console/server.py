"""uvicorn as a part of a larger process: no signal handlers, its socket bound by us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator

import uvicorn
from starlette.types import ASGIApp

from tidegate.kube.errors import UserError

_BACKLOG = 128
_GRACE_SECONDS = 2
_KEEP_ALIVE_SECONDS = 30
_MOST_HEADER_BYTES = 32 * 1024


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UserError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UserError(
            f"the console cannot listen on {host}:{port}: {error.strerror}; "
            "stop what uses the port, or choose another one with --console-port"
        ) from error
    listener.setblocking(False)
    return listener


class HttpServer:
    """Serves one ASGI application on one listening socket.

    Args:
        application: the ASGI application.
        listener: bound and listening; closed at the end.
        on_stop: called before open connections are waited for, to end endless responses.
    """

    def __init__(
        self, application: ASGIApp, listener: socket.socket, *, on_stop: Callable[[], None]
    ) -> None:
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="off",
            loop="none",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = _EmbeddedServer(config)
        self._listener = listener
        self._on_stop = on_stop

    async def run(self) -> None:
        """Serve until cancelled; then let the requests at hand finish, for a moment."""
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

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()
