"""Who may sit at the gateway: clients that have nothing to ask make room for those that have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.gateway.clients import Answer
from tests.gateway.world import World, running_gateway
from tidegate.gateway.haproxy import config
from tidegate.gateway.haproxy.config import Limits

_SEATS = 20
_HEAD = b"GET /headers HTTP/1.1\r\nHost: echo.default.localhost\r\n\r\n"


@pytest_asyncio.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    limits = Limits(clients=_SEATS, connections=3 * _SEATS, threads=2)
    monkeypatch.setattr(config, "limits", lambda _: limits)
    async with running_gateway(tmp_path) as world:
        yield world


class Guest:
    """A client that keeps its connection for as long as it may."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self) -> Answer:
        self.writer.write(_HEAD)
        async with asyncio.timeout(30):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(
                line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
            )
            body = await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.writer.close()
        return Answer(int(head.split()[1]), headers, body)


async def come(world: World) -> Guest:
    return Guest(*await asyncio.open_connection("127.0.0.1", world.port))


async def test_a_new_client_gets_in_however_many_keep_their_connections(small: World) -> None:
    await small.service("echo")
    guests: list[Guest] = []
    for _ in range(3 * _SEATS):
        guests.append(await come(small))
        assert (await guests[-1].ask()).status == 200

    kept = [guest for guest in guests if not guest.writer.is_closing()]
    assert len(kept) == _SEATS * 4 // 5
    assert {(await guest.ask()).status for guest in kept} == {200}
    for guest in guests:
        guest.writer.close()


async def test_connections_are_kept_while_there_is_room(small: World) -> None:
    await small.service("echo")
    guest = await come(small)
    for _ in range(5):
        assert "connection" not in (await guest.ask()).headers
    guest.writer.close()
