"""What outsiders may send: refused at the door, never seen by a pod, never felt by others."""

from __future__ import annotations

import asyncio
import re

import h2.config
import h2.connection
import h2.events
import pytest

from tests.gateway.clients import fetch
from tests.gateway.world import World
from tidegate.kube.objects import Key

HOST = "echo.default.localhost"
_GET = f"GET /first HTTP/1.1\r\nHost: {HOST}\r\n".encode()
_POST = f"POST /first HTTP/1.1\r\nHost: {HOST}\r\n".encode()
_CLOSE = b"Connection: close\r\n\r\n"
_SECOND = f"GET /second HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


async def exchange(world: World, text: bytes, *, timeout: float = 60) -> bytes:
    """Everything the gateway says before it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(text)
    answer = b""
    try:
        async with asyncio.timeout(timeout):
            while piece := await reader.read(65536):
                answer += piece
        return answer
    except ConnectionError:
        # What had not been read when it closed makes the gateway's end a reset.
        return answer
    finally:
        writer.transport.abort()


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (b"GET /" + b"a/" * 10000 + b" HTTP/1.1\r\n\r\n", 400),
        (_GET + b"A: " + b"x" * 20_000 + b"\r\n\r\n", 400),
        (_GET + b"".join(b"A%d: x\r\n" % number for number in range(200)) + b"\r\n", 400),
        (b"GET http://other.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a.example/../admin\r\n\r\n", 400),
        (_GET + b"Host: other.example\r\n\r\n", 400),
        (_GET + b"A: b\x00c\r\n\r\n", 400),
        (f"CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\n".encode() + _CLOSE,
         405),
        (b"GET / HTTP/1.1\rHost: a.example\r\n\r\n", 400),
        (b"NONSENSE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: nobody.example\r\n" + _CLOSE, 404),
        (b"GET / HTTP/1.1\r\nHost: " + HOST.encode() + b"|hash\r\n" + _CLOSE, 404),
    ],
    ids=["no-host", "absurd-path", "oversized-header", "many-headers", "another-authority",
         "path-in-host", "two-hosts", "nul-in-value", "tunnel", "bare-cr", "nonsense",
         "tls-to-plain", "unknown-host", "key-of-the-map"],
)  # fmt: skip
async def test_what_is_no_request_is_refused_before_any_pod(
    world: World, text: bytes, status: int
) -> None:
    (pod,) = await world.service("echo")
    assert statuses(await exchange(world, text)) == [status]
    assert pod.seen == []
    assert (await world.fetch("echo")).status == 200


@pytest.mark.parametrize(
    "text",
    [
        _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        _POST + b"Content-Length: 5, 6\r\n\r\nhello",
        _POST + b"Content-Length: +5\r\n\r\nhello",
        _POST + b"Content-Length: 0x5\r\n\r\nhello",
        _POST + b"Content-Length: 99999999999999999999\r\n\r\nhello",
        _POST + b"Content-Length : 5\r\n\r\nhello",
        _POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello",
        _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        _POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    ],
    ids=["two-lengths", "list-of-lengths", "plus", "hex", "overflow", "space-after-length",
         "space-after-encoding", "unknown-encoding", "chunked-not-last", "chunked-twice",
         "control-character", "no-size", "negative-size", "huge-size"],
)  # fmt: skip
async def test_a_body_whose_end_is_in_doubt_smuggles_nothing(world: World, text: bytes) -> None:
    (pod,) = await world.service("echo", limit=1)

    answer = await exchange(world, text + _SECOND)

    assert statuses(answer) == [400]
    assert pod.seen in ([], ["/first"])
    assert (await world.fetch("echo")).status == 200
    assert "/second" not in pod.seen


class RawPod:
    """A pod that keeps what arrives, byte for byte, and answers when the head is there."""

    def __init__(self) -> None:
        self.got = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            self.got += piece
            if self.got.endswith(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


async def raw_service(world: World) -> RawPod:
    raw = RawPod()
    (pod,) = await world.service("echo")
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    pod.die()
    pod.server = server
    pod.port = server.sockets[0].getsockname()[1]
    await world.endpoint("echo-00001", pod)
    await world.leads_to("echo-00001", pod)
    return raw


@pytest.mark.parametrize("first", [b"Content-Length", b"Transfer-Encoding"])
async def test_of_two_ways_to_end_a_body_the_pod_sees_one(world: World, first: bytes) -> None:
    raw = await raw_service(world)
    lines = [b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n"]
    lines.sort(key=lambda line: not line.startswith(first))

    answer = await exchange(world, _POST + b"".join(lines) + _CLOSE + b"0\r\n\r\n")

    assert statuses(answer) == [200]
    assert b"content-length" not in raw.got.lower()
    assert raw.got.endswith(b"\r\n\r\n0\r\n\r\n")


async def test_folded_headers_are_made_one_line(world: World) -> None:
    raw = await raw_service(world)
    await exchange(world, _GET + b"A: b\r\n  Content-Length: 7\r\n" + _CLOSE)
    head = raw.got.partition(b"\r\n\r\n")[0]
    assert re.search(rb"\r\na: b +Content-Length: 7(\r\n|$)", head)


async def test_headers_of_the_inside_are_dropped(world: World) -> None:
    raw = await raw_service(world)
    names = ("K-Network-Hash", "k-proxy-request", "Tidegate-Pod", "TIDEGATE-TRAFFIC-RULE",
             "Knative-Serving-Revision", "Knative-Serving-Namespace")  # fmt: skip
    forged = b"".join(f"{name}: forged\r\n".encode() for name in names)
    assert statuses(await exchange(world, _GET + forged + _CLOSE)) == [200]
    assert b"forged" not in raw.got


async def test_slow_headers_and_slow_bodies_take_no_pod_and_are_ended(world: World) -> None:
    (pod,) = await world.service("echo", limit=1)
    slow = [
        await asyncio.open_connection("127.0.0.1", world.port),
        await asyncio.open_connection("127.0.0.1", world.port),
    ]
    slow[0][1].write(_GET)
    slow[1][1].write(_POST + b"Content-Length: 5\r\n\r\nhe")

    for _ in range(3):
        assert (await world.fetch("echo")).status == 200
    for reader, writer in slow:
        async with asyncio.timeout(60):
            assert statuses(await reader.readuntil(b"\r\n\r\n")) == [408]
        writer.transport.abort()
    assert "/first" not in pod.seen


class H2:
    """A client that speaks HTTP/2 in plain, and may say what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        settings = h2.config.H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.connection = h2.connection.H2Connection(settings)
        self.connection.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.connection.data_to_send())

    def ask(self, *extra: tuple[str, str], path: str = "/first", host: str = HOST) -> int:
        stream = self.connection.get_next_available_stream_id()
        headers = [(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", path)]
        self.connection.send_headers(stream, [*headers, *extra], end_stream=True)
        self.flush()
        return stream

    async def _read(self) -> bytes:
        try:
            return await self.reader.read(65536)
        except ConnectionError:
            return b""

    async def until(self, stream: int) -> str:
        """The status of a stream, or how it, or all, was ended."""
        async with asyncio.timeout(30):
            while data := await self._read():
                for event in self.connection.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                        return str(dict(event.headers)[":status"])
                    if isinstance(event, h2.events.StreamReset) and event.stream_id == stream:
                        return "reset"
                    if isinstance(event, h2.events.ConnectionTerminated):
                        return "goaway"
        return "closed"


async def h2_client(world: World) -> H2:
    return H2(*await asyncio.open_connection("127.0.0.1", world.port))


@pytest.mark.parametrize(
    "extra",
    [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("Upper-Case", "x"),
        ("a", "b\r\nc: d"),
        ("a", "b\x00"),
        ("a b", "c"),
        (":path", "/second"),
        (":unknown", "x"),
        ("content-length", "5"),
        ("x", "y" * 20_000),
    ],
    ids=lambda extra: re.sub(r"\W", "", extra[0]) + extra[1][:3].encode("unicode_escape").decode(),
)
async def test_invalid_http_2_requests_reach_no_pod_and_disturb_nobody(
    world: World, extra: tuple[str, str]
) -> None:
    (pod,) = await world.service("echo")
    bystander = await h2_client(world)
    client = await h2_client(world)

    said = await client.until(client.ask(extra))

    assert said in {"400", "404", "431", "reset", "goaway", "closed"}
    assert pod.seen == []
    assert await bystander.until(bystander.ask(path="/headers")) == "200"
    client.writer.close()
    bystander.writer.close()


async def test_the_authority_of_http_2_is_the_host_that_pods_see(world: World) -> None:
    raw = await raw_service(world)
    client = await h2_client(world)
    assert await client.until(client.ask(("host", "other.example"))) == "200"
    assert b"other.example" not in raw.got
    client.writer.close()


_FRAME = {
    "data-on-no-stream": b"\x00\x00\x01\x00\x00\x00\x00\x00\x09x",
    "headers-on-stream-0": b"\x00\x00\x01\x01\x05\x00\x00\x00\x00\x82",
    "even-stream": b"\x00\x00\x01\x01\x05\x00\x00\x00\x02\x82",
    "bad-compression": b"\x00\x00\x02\x01\x05\x00\x00\x00\x01\xff\xff",
    "oversized": b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "window-of-zero": b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "continuation-of-nothing": b"\x00\x00\x01\x09\x04\x00\x00\x00\x01\x82",
    "push-from-client": b"\x00\x00\x05\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02\x82",
    "ping-of-7-bytes": b"\x00\x00\x07\x06\x00\x00\x00\x00\x00xxxxxxx",
    "settings-with-rest": b"\x00\x00\x05\x04\x00\x00\x00\x00\x00xxxxx",
}


@pytest.mark.parametrize("frame", _FRAME.values(), ids=_FRAME)
async def test_invalid_http_2_frames_end_the_connection_they_came_on(
    world: World, frame: bytes
) -> None:
    (pod,) = await world.service("echo")
    bystander = await h2_client(world)
    client = await h2_client(world)

    client.writer.write(frame)

    assert await client.until(1) in {"goaway", "closed", "reset"}
    assert pod.seen == []
    assert await bystander.until(bystander.ask(path="/headers")) == "200"
    client.writer.close()
    bystander.writer.close()


async def test_streams_that_are_opened_and_reset_at_once_starve_nobody(world: World) -> None:
    (pod,) = await world.service("echo", limit=1)
    client = await h2_client(world)
    for _ in range(300):
        client.connection.reset_stream(client.ask(path="/headers"))
        client.flush()

    assert (await world.fetch("echo")).status == 200
    await world.demand("echo-00001", in_flight=0, queued=0)
    assert pod.most <= 1
    client.writer.close()


async def test_a_probe_is_answered_by_the_gateway_with_what_it_serves(world: World) -> None:
    (pod,) = await world.service("echo")
    probe = {"K-Network-Probe": "probe", "K-Network-Hash": "override"}

    first = await world.fetch("echo", headers=probe)
    echoed = await world.fetch("echo", headers={**probe, "K-Network-Hash": "abc"})
    bare = await world.fetch("echo", headers={"K-Network-Probe": "probe"})
    unknown = await fetch(world.port, "nobody.example", headers=probe)

    assert (first.status, len(first.headers["k-network-hash"])) == (200, 64)
    assert (echoed.status, echoed.headers["k-network-hash"]) == (200, "abc")
    assert (bare.status, unknown.status) == (400, 404)
    assert "K-Network-Hash" in bare.json()["message"]
    assert pod.seen == []
    await world.fetch("echo")
    records = world.gateway.records
    await world.api.eventually(lambda: records.of(Key("default", "echo-00001")).requests == 1)

    await world.revision("echo-00002")
    await world.route("echo", {"echo-00001": 50, "echo-00002": 50})
    later = await world.fetch("echo", headers=probe)
    assert later.headers["k-network-hash"] != first.headers["k-network-hash"]
