"""Port-forward: what a client that gives up, goes or misbehaves leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from tests.apiserver.http.face import Face
from tests.apiserver.http.pods import PODS, pod
from tests.apiserver.http.spdy import opening
from tidegate.apiserver.http import spdy
from tidegate.apiserver.http.exchange import ClientGoneError
from tidegate.apiserver.http.paths import ResourcePath
from tidegate.apiserver.http.portchannels import PortChannels
from tidegate.apiserver.http.websockets import WebSocket

_UPGRADE = (
    f"POST {PODS}/p/portforward HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n"
)


class Ports:
    """A node whose pod's ports take every connection, and say nothing of themselves."""

    def __init__(self) -> None:
        self.open = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.changed = asyncio.Condition()

    async def connect(
        self, _namespace: str, _pod: str, _port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def until_open(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.open == count)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        await self._count(1)
        await reader.read()
        await self._count(-1)
        writer.close()

    async def _count(self, more: int) -> None:
        async with self.changed:
            self.open += more
            self.changed.notify_all()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with await asyncio.start_server(self._hold, "127.0.0.1", 0) as server:
            self._port = server.sockets[0].getsockname()[1]
            yield


class Tunnel:
    """A client's end of one port-forward."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)

    async def upgrade(self) -> None:
        self._writer.write(_UPGRADE.encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer

    def send(self, frames: bytes) -> None:
        self._writer.write(frames)

    def connection(self, stream: int) -> bytes:
        """The frames that open a connection, with the stream before it for errors."""
        headers = {"port": "80", "requestid": str(stream)}
        return opening(
            stream - 1, {**headers, "streamtype": "error"}, self._deflate, last=True
        ) + opening(stream, {**headers, "streamtype": "data"}, self._deflate)

    async def answered(self) -> list[bytes]:
        """What comes up to the answer of a ping, a frame each."""
        self.send(spdy.pong(7))
        frames: list[bytes] = []
        while (frame := await self._frame()) != spdy.pong(7):
            frames.append(frame)
        return frames

    async def _frame(self) -> bytes:
        head = await self._reader.readexactly(8)
        return head + await self._reader.readexactly(int.from_bytes(head[5:], "big"))


@pytest.fixture
async def ports(face: Face) -> AsyncGenerator[Ports]:
    ports = Ports()
    async with ports.running():
        await pod(face)
        face.server.attach_ports(ports)
        yield ports


@asynccontextmanager
async def tunnel(face: Face) -> AsyncGenerator[Tunnel]:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", face.server.port, ssl=face.tls()
        )
        with contextlib.closing(writer):
            client = Tunnel(reader, writer)
            await client.upgrade()
            yield client


def reset(stream: int) -> bytes:
    return struct.pack("!HHIII", 0x8003, 3, 8, stream, 5)


async def test_what_comes_for_a_connection_given_up_holds_up_nobody(
    face: Face, ports: Ports
) -> None:
    late = spdy.data_frame(3, b"late") * 100
    async with tunnel(face) as client:
        client.send(client.connection(3) + reset(3) + late)
        await client.answered()
        client.send(client.connection(5))
        await ports.until_open(1)
    await ports.until_open(0)


async def test_connections_given_up_make_room_for_others(face: Face, ports: Ports) -> None:
    async with tunnel(face) as client:
        for stream in range(3, 603, 2):
            client.send(client.connection(stream) + reset(stream))
        await client.answered()
        client.send(client.connection(9001))
        await ports.until_open(1)


async def test_a_stream_that_is_there_is_not_opened_again(face: Face, ports: Ports) -> None:
    async with tunnel(face) as client:
        client.send(client.connection(3))
        await ports.until_open(1)
        await client.answered()
        client.send(client.connection(3))
        assert spdy.refusal(3) in await client.answered()
    await ports.until_open(0)


class Gone:
    """A client that has gone, which nobody knows before something is sent to it."""

    async def send(self, data: bytes) -> None:
        if data[1:] == b"hello":
            raise ClientGoneError

    async def receive(self) -> bytes | None:
        await asyncio.Event().wait()


async def test_a_client_that_is_gone_leaves_no_connection_open() -> None:
    ports = Ports()
    target = ResourcePath("", "v1", "pods", "default", "p", "portforward")
    work = PortChannels(cast("WebSocket", Gone()), ports, target, (80, 81))
    async with asyncio.timeout(5), ports.running():
        serving = asyncio.create_task(work.run())
        await ports.until_open(2)
        ports.writers[0].write(b"hello")
        with pytest.raises(ClientGoneError):
            await serving
        await ports.until_open(0)
