"""Bodies on their way to a pod: passed on as they come, whatever their size, never kept."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import websockets

from tests.gateway.grpc_model import GrpcWorld
from tests.gateway.world import World

_PIECE = bytes(1 << 18)
_PIECES = 1024
_MOST_KEPT = 64 << 20


class SlowPod:
    """A pod that takes a body when it is told to, and may refuse it without reading."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.taken = 0
        self.refuses = False
        self._writers: set[asyncio.StreamWriter] = set()

    def break_off(self) -> None:
        """Close every connection at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            self.begun.set()
            await self.go.wait()
            if self.refuses:
                writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                return
            if b"expect: 100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            end = b""
            while not end.endswith(b"0\r\n\r\n"):
                piece = await reader.read(1 << 18)
                if not piece:
                    return
                self.taken += len(piece)
                end = (end + piece)[-5:]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        finally:
            writer.close()


@asynccontextmanager
async def slow_service(world: World, limit: int) -> AsyncIterator[SlowPod]:
    slow = SlowPod()
    (pod,) = await world.service("up", limit=limit)
    async with await asyncio.start_server(slow.serve, "127.0.0.1", 0, limit=1 << 19) as server:
        pod.port = server.sockets[0].getsockname()[1]
        await world.endpoint("up-00001", pod)
        await world.leads_to("up-00001", pod)
        try:
            yield slow
        finally:
            slow.break_off()


def most_memory(world: World) -> int:
    """Bytes that HAProxy has ever had in memory at once."""
    status = Path(f"/proc/{world.gateway._plane.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


async def begin(world: World, *headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    lines = ["POST /up HTTP/1.1", "Host: up.default.localhost", "Transfer-Encoding: chunked"]
    writer.write("\r\n".join([*lines, *headers, "", ""]).encode())
    return reader, writer


@pytest.mark.parametrize("limit", [0, 1], ids=["unlimited", "limited"])
async def test_an_endless_upload_is_passed_on_and_never_kept(world: World, limit: int) -> None:
    async with slow_service(world, limit) as pod:
        before = most_memory(world)
        reader, writer = await begin(world)
        chunk = b"%x\r\n%s\r\n" % (len(_PIECE), _PIECE)
        sent = 0

        async def send() -> None:
            nonlocal sent
            for _ in range(_PIECES):
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
            writer.write(b"0\r\n\r\n")
            await writer.drain()

        sending = asyncio.create_task(send())
        await pod.begun.wait()
        # The pod reads nothing: the sender is stopped when the kernel's buffers are full.
        seen = -1
        while seen != sent:
            seen = sent
            await asyncio.sleep(0.3)
        assert sent < _MOST_KEPT
        pod.go.set()
        async with asyncio.timeout(120):
            await sending
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
        assert pod.taken >= _PIECES * len(_PIECE)
        assert most_memory(world) - before < _MOST_KEPT


@pytest.mark.parametrize("limit", [0, 1], ids=["unlimited", "limited"])
async def test_a_client_that_expects_a_word_gets_the_pods(world: World, limit: int) -> None:
    async with slow_service(world, limit) as pod:
        pod.go.set()
        reader, writer = await begin(world, "Expect: 100-continue")
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            writer.write(b"5\r\nhello\r\n0\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.parametrize("limit", [0, 1], ids=["unlimited", "limited"])
async def test_a_pod_may_refuse_a_body_before_it_is_sent(world: World, limit: int) -> None:
    async with slow_service(world, limit) as pod:
        pod.refuses = True
        pod.go.set()
        reader, writer = await begin(world, "Expect: 100-continue")
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413")
        writer.close()
        assert pod.taken == 0


async def test_a_request_with_a_length_takes_a_pod_when_its_body_is_there(world: World) -> None:
    async with slow_service(world, 1) as pod:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(
            b"POST /up HTTP/1.1\r\nHost: up.default.localhost\r\nContent-Length: 5\r\n\r\n"
        )
        writer.write(b"hel")
        probe = await world.fetch("nobody")
        assert probe.status == 404
        assert not pod.begun.is_set()
        writer.write(b"lo")
        async with asyncio.timeout(30):
            await pod.begun.wait()
        writer.transport.abort()


async def test_a_websocket_over_tls_goes_through(model: GrpcWorld) -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    world, tls = model.world, model.tls
    context = ssl.create_default_context(cadata=tls.signer.certificate_pem.decode())
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        (pod,) = await world.service("ws", limit=1)
        pod.port = server.sockets[0].getsockname()[1]
        await world.endpoint("ws-00001", pod)
        await world.leads_to("ws-00001", pod)
        uri = f"wss://ws.default.localhost:{tls.port}/"
        async with websockets.connect(uri, host="127.0.0.1", port=tls.port, ssl=context) as client:
            for message in ("hello", b"\x00" * 1_000_000):
                await client.send(message)
                assert await client.recv() == message


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_long_body_waits_for_a_pod_that_works_for_who_has_left(
    world: World, limit: int
) -> None:
    """HAProxy cannot send it back to the queue; it must not be refused, nor be one too many."""
    await world.revision("sd-00001", limit=limit)
    pod = await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})
    await world.in_rotation("sd-00001", 1)
    left = [await world.send("sd", "/hold") for _ in range(limit)]
    await world.working(pod, requests=limit)
    for request in left:
        request.leave(reset=True)

    waiting = [await world.send("sd", "/headers", body=_PIECE) for _ in range(2 * limit)]
    await asyncio.sleep(0.5)
    assert pod.seen == ["/hold"] * limit
    pod.released.set()

    assert [(await request.answer()).status for request in waiting] == [200] * 2 * limit
    assert pod.most == limit


async def test_a_long_body_waits_for_no_pod_that_has_gone(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    pod = await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})
    await world.in_rotation("sd-00001", 1)
    left = await world.send("sd", "/hold")
    await world.working(pod)
    left.leave(reset=True)
    waiting = await world.send("sd", "/headers", body=_PIECE)
    await world.demand("sd-00001", in_flight=1)

    pod.die()
    await world.endpoint("sd-00001", pod, gone=True)

    assert (await waiting.answer()).status in (502, 503)
