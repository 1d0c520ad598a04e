"""Unix sockets that HAProxy connects to: nothing of them is left when they are closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

Serve = Callable[[asyncio.StreamReader], Awaitable[None]]


@asynccontextmanager
async def listening(path: Path, serve: Serve) -> AsyncGenerator[None]:
    """Call `serve` for each connection to `path`, until the context is left.

    A socket that is there already was left by a process that died.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            await serve(reader)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not server.is_serving():
            # It was accepted just before the end.
            writer.close()
            return
        task = asyncio.ensure_future(handle(reader))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        # Here, for a task that is cancelled before it has begun closes nothing.
        task.add_done_callback(lambda _: writer.close())

    path.unlink(missing_ok=True)  # noqa: ASYNC240 - one call on a local file
    # The directory is the owner's alone, so nobody else can reach the socket.
    server = await asyncio.start_unix_server(connected, path)
    try:
        yield
    finally:
        # asyncio loses a connection that it has accepted, and not yet given away, when it closes.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        await asyncio.sleep(0)
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
