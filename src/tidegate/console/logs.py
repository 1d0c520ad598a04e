"""The output of a container as a page shows it: text without terminal codes, in events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Literal

from tidegate.console.settings import LogReader
from tidegate.console.streams import event
from tidegate.kube.errors import ApiError
from tidegate.kube.objects import Key

TAIL_LINES = 500
_TERMINAL_CODE = re.compile(
    r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain(output: bytes) -> str:
    """Text for people: no colours, and of a line that was written over only its last state."""
    text = _TERMINAL_CODE.sub("", output.decode(errors="replace")).replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROL.sub("", "\n".join(lines))


async def log_text(reader: LogReader, pod: Key, container: str) -> str:
    """The last lines at once. Raises ApiError."""
    pieces = [
        piece
        async for piece in reader.stream(pod.namespace, pod.name, container, tail_lines=TAIL_LINES)
    ]
    return plain(b"".join(pieces))


async def log_events(
    reader: LogReader, pod: Key, container: str, *, closed: asyncio.Event
) -> AsyncGenerator[bytes]:
    """Events `lines` as they come, and at the end one `end` that says why."""
    output = reader.stream(pod.namespace, pod.name, container, follow=True, tail_lines=TAIL_LINES)
    closing = asyncio.create_task(closed.wait())
    try:
        async for piece in _until(output, closing):
            text = plain(piece).removesuffix("\n")
            yield event(text, name="lines")
    except ApiError as error:
        yield event(error.message, name="end")
    else:
        if not closing.done():
            yield event("The container has ended.", name="end")
    finally:
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)


async def _until(
    output: AsyncIterator[bytes], closing: asyncio.Task[Literal[True]]
) -> AsyncGenerator[bytes]:
    reading: asyncio.Task[bytes] | None = None
    try:
        while True:
            reading = asyncio.ensure_future(_next(output))
            await asyncio.wait({reading, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return
            try:
                yield reading.result()
            except StopAsyncIteration:
                return
    finally:
        if reading is not None and not reading.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _next(output: AsyncIterator[bytes]) -> bytes:
    return await anext(output)
