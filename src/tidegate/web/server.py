"""uvicorn as a part of a larger process: no signal handlers, its socket bound by us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator

import uvicorn

from tidegate.kube.errors import UserError

_BACKLOG = 1024
_FLUSH_SECONDS = 0.05


def listen(host: str, port: int, *, purpose: str, option: str) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Args:
        purpose: who listens, e.g. `the console`, for the message.
        option: which option chooses another port, likewise.

    Raises:
        UserError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UserError(
            f"{purpose} cannot listen on {host}:{port}: {error.strerror};"
            f" stop what uses the port, or choose another one with {option}"
        ) from error
    listener.setblocking(False)
    return listener


class HttpServer:
    """Serves one ASGI application on one listening socket.

    Args:
        config: uvicorn's, with the application in it.
        listener: bound and listening; closed at the end.
        on_stop: called before open connections are waited for, to end endless responses.
        grace: seconds that requests at hand get to finish.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        *,
        on_stop: Callable[[], None],
        grace: float,
    ) -> None:
        self._server = _EmbeddedServer(config, grace)
        self._listener = listener
        self._on_stop = on_stop

    async def run(self) -> None:
        """Serve until cancelled; then let the requests at hand finish."""
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
    def __init__(self, config: uvicorn.Config, grace: float) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._grace = grace
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
            _, late = await asyncio.wait(set(state.tasks), timeout=self._grace)
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
