"""What a page that follows something holds, and that all of it is given back when it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tidegate.console.logs import log_events, log_text
from tidegate.console.streams import HEARTBEAT, with_heartbeat
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import Key

POD = Key("default", "a")


class Output:
    """Some output, and no more for as long as anybody listens."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.closed = False

    async def stream(
        self,
        namespace: str,  # noqa: ARG002 - LogReader
        pod: str,  # noqa: ARG002 - LogReader
        container: str = "",  # noqa: ARG002 - LogReader
        *,
        follow: bool = False,
        tail_lines: int | None = None,  # noqa: ARG002 - LogReader
    ) -> AsyncGenerator[bytes]:
        try:
            for piece in self._pieces:
                yield piece
            if follow:
                await asyncio.Event().wait()
            raise NotFound("it has gone")
        finally:
            self.closed = True


@pytest.mark.parametrize("taken", [1, 2])
async def test_a_followed_log_is_closed_when_its_page_leaves(taken: int) -> None:
    output = Output(b"one\n", b"two\n")
    events = log_events(output, POD, "main", closed=asyncio.Event())
    for _ in range(taken):
        assert await anext(events)
    await events.aclose()
    assert output.closed


async def test_a_followed_log_is_closed_when_the_console_ends() -> None:
    output, closed = Output(b"one\n"), asyncio.Event()
    events = log_events(output, POD, "main", closed=closed)
    async with aclosing(events):
        assert b"one" in await anext(events)
        closed.set()
        assert [event async for event in events] == []
        assert output.closed


async def test_a_log_that_fails_is_closed() -> None:
    output = Output(b"one\n")
    with pytest.raises(NotFound):
        await log_text(output, POD, "main")
    assert output.closed


async def test_a_heartbeat_comes_in_every_silence_and_ends_with_its_events() -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes]:
        try:
            yield b"event"
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    alive = with_heartbeat(events(), seconds=0.001)
    assert await anext(alive) == b"event"
    assert await anext(alive) == HEARTBEAT
    assert begun.is_set()
    assert await anext(alive) == HEARTBEAT
    await alive.aclose()
    assert closed.is_set()
