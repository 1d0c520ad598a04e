"""The control plane's end of a connection that is attached to a container; its template has the
other (`attachments.py`, which says what they speak)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tidegate.node.runtime.process.attachments import END, FRAME, INPUT, SIDES, SIZE


class AttachedStreams:
    """The streams of a container's program."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes, until it or its template ends."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                stream, size = FRAME.unpack(await self._reader.readexactly(FRAME.size))
                yield stream, await self._reader.readexactly(size)

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none."""
        self._send(INPUT, data)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def close_input(self) -> None:
        """Tell it that no more input comes."""
        self._send(END)

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal the size."""
        self._send(SIZE, SIDES.pack(columns, rows))

    def _send(self, kind: int, data: bytes = b"") -> None:
        self._writer.write(FRAME.pack(kind, len(data)) + data)
