"""A TCP proxy: one listening socket, connections spread over the endpoints of the moment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial

logger = logging.getLogger(__name__)

_CHUNK = 64 << 10
_CONNECT_SECONDS = 5.0

Endpoints = Callable[[], list[tuple[str, int]]]


class TcpProxy:
    """Forwards connections, round robin.

    Args:
        endpoints: asked for each new connection.
        max_connections: at once; further ones wait in the socket's backlog.
    """

    def __init__(self, endpoints: Endpoints, *, max_connections: int = 1000) -> None:
        self._endpoints = endpoints
        self._slots = asyncio.Semaphore(max_connections)
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    def open(self, address: str, port: int) -> None:
        """Listen. Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind((address, port))
            listener.listen(512)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._accepting = asyncio.ensure_future(self._accept(listener))

    async def close(self) -> None:
        """Stop listening and end all connections."""
        tasks = [*self._tasks, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            await self._slots.acquire()
            try:
                client = await _next_client(listener)
            except OSError as error:
                self._slots.release()
                logger.warning("accepting connections: %s", error)
                await asyncio.sleep(0.1)
                continue
            except BaseException:
                self._slots.release()
                raise
            task = asyncio.ensure_future(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(partial(self._finished, client))

    def _finished(self, client: socket.socket, task: asyncio.Task[None]) -> None:
        # Here, for a task that is cancelled before it has begun closes nothing.
        client.close()
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and task.exception() is not None:
            logger.error("a connection failed", exc_info=task.exception())

    async def _serve(self, client: socket.socket) -> None:
        try:
            upstream = await self._connect()
            if upstream is None:
                return
            with upstream:
                await _relay(client, upstream)
        except OSError:
            # Either side reset the connection: the other learns it by the close.
            return

    async def _connect(self) -> socket.socket | None:
        """A connection to the next endpoint that takes one; None when none does."""
        endpoints = self._endpoints()
        self._turn += 1
        for offset in range(len(endpoints)):
            host, port = endpoints[(self._turn + offset) % len(endpoints)]
            upstream = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            upstream.setblocking(False)
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await asyncio.get_running_loop().sock_connect(upstream, (host, port))
            except (OSError, TimeoutError):
                upstream.close()
            except BaseException:
                upstream.close()
                raise
            else:
                return upstream
        return None


async def _next_client(listener: socket.socket) -> socket.socket:
    """Accept a connection. Raises OSError.

    The loop's own `sock_accept` loses one that has come when it is cancelled in the same moment.
    """
    while True:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            await _readable(listener)
        else:
            client.setblocking(False)
            return client


async def _readable(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(listener, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(listener)


def is_taken(address: str, port: int) -> bool:
    """Whether another program listens on the address and port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


async def _relay(left: socket.socket, right: socket.socket) -> None:
    for link in (left, right):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A side that has sent everything may still be reading: only the other direction goes on.
    tasks = [asyncio.ensure_future(_copy(left, right)), asyncio.ensure_future(_copy(right, left))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK):
        await loop.sock_sendall(target, data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
