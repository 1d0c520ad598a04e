"""Server-sent events: their form, and responses that give back what they hold when they end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

HEARTBEAT = b": alive\n\n"
_HEARTBEAT_SECONDS = 15.0
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


def event(data: str, *, name: str = "") -> bytes:
    """One event; without a name it is the content of the element that listens."""
    head = f"event: {name}\n" if name else ""
    body = "".join(f"data: {line}\n" for line in _LINE_BREAK.split(data))
    return f"{head}{body}\n".encode()


class EventStream(StreamingResponse):
    """An endless response.

    Args:
        events: what to send.
        leave: called once at the end, however it comes.
    """

    def __init__(self, events: AsyncGenerator[bytes], *, leave: Callable[[], None]) -> None:
        self._alive = with_heartbeat(events)
        super().__init__(self._alive, media_type="text/event-stream")
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()
            await self._alive.aclose()


async def with_heartbeat(
    events: AsyncGenerator[bytes], *, seconds: float = _HEARTBEAT_SECONDS
) -> AsyncGenerator[bytes]:
    """`events`, and a comment whenever there was none for a while, which finds dead clients.

    Closes `events` at its own end.
    """
    following: asyncio.Future[bytes] = asyncio.ensure_future(anext(events, b""))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=seconds)
            if not done:
                yield HEARTBEAT
                continue
            if not (item := following.result()):
                return
            yield item
            following = asyncio.ensure_future(anext(events, b""))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await events.aclose()
