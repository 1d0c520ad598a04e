"""Unix sockets that HAProxy connects to: nothing of them is left when they are closed."""

from __future__ import annotations

import asyncio
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

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not server.is_serving():
            # It was accepted just before the end.
            writer.close()
            return
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    path.unlink(missing_ok=True)  # noqa: ASYNC240 - one call on a local file
    # The directory is the owner's alone, so nobody else can reach the socket.
    server = await asyncio.start_unix_server(connected, path)
    try:
        yield
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
