"""HTTP/2 from clients: many requests on one connection, bodies, and WebSockets within it."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import websockets

from tests.gateway.world import World

HOST = "echo.default.localhost"


class Client:
    """One connection; keeps what arrives by stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self.connection = h2.connection.H2Connection(config)
        self.status: dict[int, str] = {}
        self.body: defaultdict[int, bytes] = defaultdict(bytes)
        self.ended: list[int] = []
        self.connection.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.connection.data_to_send())

    def ask(self, path: str, *extra: tuple[str, str], method: str = "GET", end: bool = True) -> int:
        stream = self.connection.get_next_available_stream_id()
        host = extra[0][1] if extra and extra[0][0] == ":authority" else HOST
        rest = [pair for pair in extra if pair[0] != ":authority"]
        pseudo = [pair for pair in rest if pair[0].startswith(":")]
        plain = [pair for pair in rest if not pair[0].startswith(":")]
        headers = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
        self.connection.send_headers(stream, [*headers, *pseudo, *plain], end_stream=end)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self.connection.send_data(stream, data, end_stream=end)
        self.flush()

    async def until(self, done: Callable[[], bool]) -> None:
        """Read until that is so."""
        async with asyncio.timeout(60):
            while not done():
                data = await self._reader.read(65536)
                assert data, "the gateway closed the connection"
                for event in self.connection.receive_data(data):
                    self._take(event)
                self.flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.status[event.stream_id] = dict(event.headers)[":status"]
        elif isinstance(event, h2.events.DataReceived):
            self.body[event.stream_id] += event.data
            size = event.flow_controlled_length
            self.connection.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.append(event.stream_id)


async def connect(world: World) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", world.port))


async def test_a_hundred_requests_at_once_on_one_connection(world: World) -> None:
    (pod,) = await world.service("echo", limit=2)
    client = await connect(world)
    asked = [client.ask(f"/work?ms=1&n={number}") for number in range(100)]

    await client.until(lambda: len(client.ended) == len(asked))

    assert set(client.status.values()) == {"200"}
    targets = [json.loads(client.body[stream])["target"] for stream in asked]
    assert targets == [f"/work?ms=1&n={number}" for number in range(100)]
    assert pod.most == 2
    client.writer.close()


async def test_a_quick_answer_overtakes_a_slow_one(world: World) -> None:
    await world.service("echo")
    client = await connect(world)
    slow = client.ask("/stream?chunks=2000&ms=20")
    await client.until(lambda: slow in client.status)

    quick = client.ask("/headers")

    await client.until(lambda: quick in client.ended)
    assert slow not in client.ended
    client.writer.close()


async def test_a_body_without_a_length_is_chunked_for_the_pod(world: World) -> None:
    (pod,) = await world.service("echo", limit=1)
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"0\r\n\r\n")
        got.extend((head, body))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        pod.port = server.sockets[0].getsockname()[1]
        await world.endpoint("echo-00001", pod)
        await world.leads_to("echo-00001", pod)
        client = await connect(world)
        stream = client.ask("/up", method="POST", end=False)
        for _ in range(3):
            client.send(stream, b"piece")
        client.send(stream, b"", end=True)
        await client.until(lambda: stream in client.ended)
        client.writer.close()
    assert client.body[stream] == b"ok"
    assert b"transfer-encoding: chunked" in got[0].lower()
    assert got[1].count(b"piece") == 3


async def test_a_websocket_within_http_2(world: World) -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0, close_timeout=1) as server:
        (pod,) = await world.service("ws", limit=1)
        pod.port = server.sockets[0].getsockname()[1]
        await world.endpoint("ws-00001", pod)
        await world.leads_to("ws-00001", pod)
        client = await connect(world)
        stream = client.ask(
            "/",
            (":authority", "ws.default.localhost"),
            (":protocol", "websocket"),
            ("sec-websocket-version", "13"),
            method="CONNECT",
            end=False,
        )
        await client.until(lambda: client.status.get(stream) == "200")
        for word in (b"hello", b"again"):
            client.send(stream, _masked(0x81, word))
            wanted = bytes([0x81, len(word)]) + word
            await client.until(lambda wanted=wanted: wanted in client.body[stream])
            client.body[stream] = b""
        await world.demand("ws-00001", in_flight=1)
        client.send(stream, _masked(0x88, b"\x03\xe8"), end=True)
        await world.demand("ws-00001", in_flight=0)
        client.writer.close()


def _masked(kind: int, data: bytes) -> bytes:
    """A frame of RFC 6455 as a client sends it."""
    mask = os.urandom(4)
    hidden = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    return bytes([kind, 0x80 | len(data)]) + mask + hidden


async def test_a_late_pod_ends_its_own_request_of_the_connection_only(world: World) -> None:
    await world.revision("echo-00001", timeoutSeconds=1)
    pod = await world.pod("echo-00001", "echo-a")
    await world.route("echo", {"echo-00001": 100})
    await world.in_rotation("echo-00001", 1)
    client = await connect(world)

    late = client.ask("/hold")
    streaming = client.ask("/stream?chunks=1&ms=1500")
    later = client.ask("/hold?later")
    await client.until(lambda: len(client.ended) == 3)

    assert [client.status[stream] for stream in (late, streaming, later)] == ["504", "200", "504"]
    assert json.loads(client.body[later])["code"] == 504
    assert client.body[streaming] == b"data"
    client.writer.close()
    pod.released.set()
