"""The output of a container as a page shows it: text without terminal codes, in events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

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
    output = reader.stream(pod.namespace, pod.name, container, tail_lines=TAIL_LINES)
    async with aclosing(output):
        pieces = [piece async for piece in output]
    return plain(b"".join(pieces))


async def log_events(
    reader: LogReader, pod: Key, container: str, *, closed: asyncio.Event
) -> AsyncGenerator[bytes]:
    """Events `lines` as they come, and at the end one `end` that says why."""
    output = reader.stream(pod.namespace, pod.name, container, follow=True, tail_lines=TAIL_LINES)
    try:
        async with aclosing(output), aclosing(_until(output, closed)) as pieces:
            async for piece in pieces:
                yield event(plain(piece).removesuffix("\n"), name="lines")
    except ApiError as error:
        yield event(error.message, name="end")
    else:
        if not closed.is_set():
            yield event("The container has ended.", name="end")


async def _until(output: AsyncGenerator[bytes], closed: asyncio.Event) -> AsyncGenerator[bytes]:
    """What comes of `output` before `closed` is set."""
    closing = asyncio.ensure_future(closed.wait())
    reading: asyncio.Future[bytes] = asyncio.ensure_future(anext(output, b""))
    try:
        while await asyncio.wait({reading, closing}, return_when=asyncio.FIRST_COMPLETED):
            if not reading.done() or not (piece := reading.result()):
                return
            yield piece
            reading = asyncio.ensure_future(anext(output, b""))
    finally:
        reading.cancel()
        closing.cancel()
        await asyncio.gather(reading, closing, return_exceptions=True)
