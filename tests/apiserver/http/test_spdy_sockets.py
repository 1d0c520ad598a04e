"""SPDY as the protocol of a connection: what the application gets of it, and what comes back."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import zlib
from typing import Any

import pytest

from tests.apiserver.http.face import Face
from tests.apiserver.http.spdy import opening
from tidegate.apiserver.http import spdy
from tidegate.apiserver.http.spdysockets import SpdyProtocol, is_wanted

PODS = "/api/v1/namespaces/default/pods"
V4 = "v4.channel.k8s.io"


class Wire(asyncio.Transport):
    """A client's end that only takes down what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reads = True
        self.closing = False
        self.unread = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def abort(self) -> None:
        self.closing = True

    close = abort


def scope(query: bytes, version: str = V4) -> dict[str, Any]:
    return {"headers": [(b"X-Stream-Protocol-Version", version.encode())], "query_string": query}


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def frames(data: bytes) -> list[spdy.Frame]:
    """Data frames, without the replies to the client's streams."""
    found: list[spdy.Frame] = []
    while data:
        size = 8 + int.from_bytes(data[5:8], "big")
        if not data[0] & 0x80:
            found += spdy.Decoder().feed(data[:size])
        data = data[size:]
    return found


async def test_channels_are_streams() -> None:
    got: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["subprotocols"] == [V4]
        await receive()
        await send({"type": "websocket.accept", "subprotocol": V4})
        await send({"type": "websocket.send", "bytes": b"\x01"})
        await send({"type": "websocket.send", "bytes": b"\x01out"})
        await send({"type": "websocket.send", "bytes": b"\x02nobody asked for it"})
        got.extend([await receive(), await receive()])
        await send({"type": "websocket.send", "bytes": b"\x03{}"})
        await send({"type": "websocket.close", "code": 1000})

    wire, deflate = Wire(), zlib.compressobj(zdict=spdy.DICTIONARY)
    protocol = SpdyProtocol(wire, scope(b"stdin=true&stdout=true"))
    serving = asyncio.create_task(protocol.serve(application))
    await settle()
    head, _, rest = wire.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert f"x-stream-protocol-version: {V4}".encode() in head
    assert rest == b""  # nothing before all streams are there
    for stream, kind in ((1, "error"), (3, "stdin"), (5, "stdout")):
        protocol.data_received(opening(stream, {"streamtype": kind}, deflate))
    await settle()
    protocol.data_received(spdy.data_frame(3, b"in") + spdy.data_frame(3, b"", last=True))
    await asyncio.wait_for(serving, 5)
    assert [message["bytes"] for message in got] == [b"\x00in", b"\xff\x00"]
    _, _, rest = wire.sent.partition(b"\r\n\r\n")
    assert frames(rest) == [
        spdy.Data(5, b"out", last=False),
        spdy.Data(1, b"{}", last=False),
        spdy.Data(5, b"", last=True),
        spdy.Data(1, b"", last=True),
    ]


async def test_streams_that_nobody_knows_are_refused_and_nonsense_ends_the_connection() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": V4})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    wire, deflate = Wire(), zlib.compressobj(zdict=spdy.DICTIONARY)
    protocol = SpdyProtocol(wire, scope(b""))
    serving = asyncio.create_task(protocol.serve(application))
    await settle()
    wire.sent = b""
    protocol.data_received(opening(1, {"streamtype": "error"}, deflate))
    wire.sent = b""
    for stream, kind in ((3, "other"), (5, "error")):
        protocol.data_received(opening(stream, {"streamtype": kind}, deflate))
    assert wire.sent == spdy.refusal(3) + spdy.refusal(5)
    protocol.data_received(struct.pack("!HHI", 0x8002, 6, 0))
    assert wire.closing
    protocol.connection_lost(None)
    await asyncio.wait_for(serving, 5)


async def test_a_client_is_read_no_more_while_its_input_waits() -> None:
    wire = Wire()
    protocol = SpdyProtocol(wire, scope(b"", "portforward.k8s.io"))
    reading = asyncio.Event()
    sizes: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["subprotocols"] == ["SPDY/3.1+portforward.k8s.io"]
        await receive()
        await reading.wait()
        sizes.extend([len((await receive())["bytes"]) for _ in range(3)])

    serving = asyncio.create_task(protocol.serve(application))
    for _ in range(3):
        protocol.data_received(bytes(600_000))
    assert not wire.reads
    reading.set()
    await asyncio.wait_for(serving, 5)
    assert (wire.reads, sizes) == (True, [600_000] * 3)


async def test_a_client_is_read_no_more_while_many_small_inputs_wait() -> None:
    wire = Wire()
    protocol = SpdyProtocol(wire, scope(b"", "portforward.k8s.io"))
    for _ in range(10_000):
        protocol.data_received(b"x")
        if not wire.reads:
            return
    raise AssertionError("10,000 messages wait")


async def test_who_asks_on_and_on_and_reads_no_answers_is_cut_off() -> None:
    wire = Wire()
    protocol = SpdyProtocol(wire, scope(b"", "portforward.k8s.io"))
    wire.unread = 100_000
    protocol.data_received(spdy.pong(1))
    assert not wire.closing
    wire.unread = 2_000_000
    protocol.data_received(spdy.pong(3))
    assert wire.closing


def test_only_where_there_are_streams() -> None:
    assert is_wanted(b"spdy/3.1", b"/api/v1/namespaces/a/pods/b/exec?command=c")
    assert not is_wanted(b"spdy/3.1", b"/api/v1/pods?watch=1&x=/exec")
    assert not is_wanted(b"websocket", b"/api/v1/namespaces/a/pods/b/exec")


@pytest.mark.parametrize(
    ("certificate", "protocol", "code"),
    [(False, V4, 401), (True, V4, 404), (True, "v9.channel.k8s.io", 400)],
)
async def test_refusals_are_answers_as_any_other(
    face: Face, certificate: bool, protocol: str, code: int
) -> None:
    if code == 400:
        spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": "tidegate"}
        made = await face.http().post(PODS, json={"metadata": {"name": "p"}, "spec": spec})
        assert made.status_code == 201, made.text
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", face.server.port, ssl=face.tls(certificate=certificate)
    )
    writer.write(
        f"POST {PODS}/p/exec?command=true&stdout=true HTTP/1.1\r\nHost: api\r\n"
        f"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n"
        f"X-Stream-Protocol-Version: {protocol}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length is not None
    status = json.loads(await reader.readexactly(int(length[1])))
    assert head.startswith(f"HTTP/1.1 {code} ".encode())
    assert status["code"] == code
    writer.close()
