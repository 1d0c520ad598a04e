"""A client of the console: plain HTTP, and server-sent events taken apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from tests.console.world import World


@dataclass(frozen=True)
class Message:
    """One server-sent event."""

    name: str
    data: str


@asynccontextmanager
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has the cookie."""
    async with httpx.AsyncClient(base_url=world.url, timeout=10) as client:
        answer = await client.get("/", params={"token": world.token})
        assert answer.status_code == 303
        yield client


@asynccontextmanager
async def listening(client: httpx.AsyncClient, path: str) -> AsyncIterator[AsyncIterator[Message]]:
    """The events of a stream, each awaited for ten seconds at most."""
    async with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _messages(answer)


async def _messages(answer: httpx.Response) -> AsyncIterator[Message]:
    name, data = "", list[str]()
    lines = answer.aiter_lines()
    while True:
        async with asyncio.timeout(10):
            line = await anext(lines, None)
        if line is None:
            return
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line and (name or data):
            yield Message(name, "\n".join(data))
            name, data = "", []


async def first(messages: AsyncIterator[Message], *, name: str = "", with_text: str = "") -> str:
    """The data of the next event of that name that contains the text."""
    async for message in messages:
        if message.name == name and with_text in message.data:
            return message.data
    raise AssertionError(f"the stream ended without {with_text!r} in an event {name!r}")
