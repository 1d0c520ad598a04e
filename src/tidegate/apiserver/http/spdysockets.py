"""SPDY 3.1 as the protocol of a whole connection, which clients older than WebSockets speak.

To the application such a connection is a WebSocket with the same channels: the streams of exec and
attach, one per channel, become messages that begin with the channel's byte; those of port-forward
are passed on as they are, as inside kubectl's WebSocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
from collections.abc import Iterator, MutableMapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from tidegate.apiserver.http import spdy
from tidegate.apiserver.http.channels import CLOSE, RESIZE, STATUS, STDERR, STDIN, STDOUT

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]

UPGRADE = b"spdy/3.1"
_SUBRESOURCES = (b"exec", b"attach", b"portforward")
_VERSION_HEADER = b"x-stream-protocol-version"
_FORWARDING = "portforward.k8s.io"
_TUNNEL = f"SPDY/3.1+{_FORWARDING}"
_CHANNELS = {
    "stdin": STDIN,
    "stdout": STDOUT,
    "stderr": STDERR,
    "error": STATUS,
    "resize": RESIZE,
}
_OUTPUTS = (STDOUT, STDERR, STATUS)
# For a client to open the streams that it has announced.
_STREAMS_SECONDS = 30.0
# For a client to take what is still on its way before the connection is closed.
_LINGER_SECONDS = 5.0
# What may wait for the application before the client is read no more.
_MAX_WAITING_BYTES = 1024 * 1024
# What a message that waits takes beside its bytes: it may have one, or none.
MESSAGE_BYTES = 256
# What may wait for a client that reads no answers and goes on asking. The application waits long
# before that.
_MAX_UNREAD_BYTES = 1024 * 1024


def is_wanted(upgrade: bytes | None, url: bytes) -> bool:
    """Whether a request asks for such a connection, at a place that has one."""
    return upgrade == UPGRADE and url.partition(b"?")[0].rpartition(b"/")[2] in _SUBRESOURCES


class _Codec(Protocol):
    """From the bytes of a connection to messages, and back."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that have come. Raises spdy.ProtocolError."""
        ...

    def encode(self, message: bytes) -> bytes:
        """What a message is on the wire."""
        ...

    def end(self) -> bytes:
        """What is sent last."""
        ...


class _Raw:
    """What a tunnel sends and gets is SPDY already."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def encode(self, message: bytes) -> bytes:
        return message

    def end(self) -> bytes:
        return b""


class _Channels:
    """A stream for each channel.

    Args:
        expected: the channels whose streams the client will open.
        transport: to the client.
    """

    def __init__(self, expected: set[int], transport: asyncio.WriteTransport) -> None:
        self._expected = expected
        self._transport = transport
        self._decoder = spdy.Decoder()
        self._encoder = spdy.Encoder()
        self._streams: dict[int, int] = {}
        self._channels: dict[int, int] = {}
        self.complete = asyncio.Event()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in self._decoder.feed(data):
            match frame:
                case spdy.Opened():
                    self._open(frame)
                case spdy.Data():
                    yield from self._input(frame)
                case spdy.Ping():
                    self._transport.write(spdy.pong(frame.number))
                case spdy.Reset() | spdy.GoAway():
                    pass

    def encode(self, message: bytes) -> bytes:
        stream = self._streams.get(message[0])
        # Nobody asked for this channel, or it only says that it has begun.
        return b"" if stream is None or len(message) == 1 else spdy.data_frame(stream, message[1:])

    def end(self) -> bytes:
        open_ones = [self._streams[channel] for channel in _OUTPUTS if channel in self._streams]
        return b"".join(spdy.data_frame(stream, b"", last=True) for stream in open_ones)

    def _open(self, frame: spdy.Opened) -> None:
        channel = _CHANNELS.get(frame.headers.get("streamtype", ""))
        if channel is None or channel in self._streams:
            self._transport.write(spdy.refusal(frame.stream))
            return
        self._streams[channel] = frame.stream
        self._channels[frame.stream] = channel
        self._transport.write(self._encoder.reply(frame.stream))
        if self._expected <= self._streams.keys():
            self.complete.set()

    def _input(self, frame: spdy.Data) -> Iterator[bytes]:
        channel = self._channels.get(frame.stream)
        if channel is not None and frame.data:
            yield bytes((channel,)) + frame.data
        if channel == STDIN and frame.last:
            yield bytes((CLOSE, STDIN))


class SpdyProtocol(asyncio.Protocol):
    """One connection, from the request that asked for it on.

    Args:
        transport: of the connection; it must be given this protocol.
        scope: of the request.
    """

    def __init__(self, transport: asyncio.Transport, scope: Message) -> None:
        self._transport = transport
        self._offered = [
            name.strip()
            for key, value in scope["headers"]
            if key.lower() == _VERSION_HEADER
            for name in value.decode("latin-1").split(",")
        ]
        names = [_TUNNEL if name == _FORWARDING else name for name in self._offered]
        self._scope: Message = {**scope, "type": "websocket", "subprotocols": names}
        self._codec: _Codec = _Raw()
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._messages.put_nowait({"type": "websocket.connect"})
        self._waiting = 0
        self._writable = asyncio.Event()
        self._writable.set()

    async def serve(self, application: Any) -> None:
        """Have the application serve it; what goes wrong there ends the connection."""
        try:
            await application(self._scope, self._receive, self._send)
        except Exception:
            logger.exception("a connection over SPDY failed")
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._codec.feed(data):
                self._waiting += len(message) + MESSAGE_BYTES
                self._messages.put_nowait({"type": "websocket.receive", "bytes": message})
        except spdy.ProtocolError as error:
            logger.info("a connection over SPDY ends: it got %s", error)
            self._transport.abort()
        if self._waiting > _MAX_WAITING_BYTES:
            self._transport.pause_reading()
        if self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            logger.info("a connection over SPDY ends: its client does not read")
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's contract
        self._messages.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def shutdown(self) -> None:
        """End it, as the server does when it stops."""
        self._transport.close()

    async def _receive(self) -> Message:
        message = await self._messages.get()
        before = self._waiting
        if "bytes" in message:
            self._waiting -= len(message["bytes"]) + MESSAGE_BYTES
        if before > _MAX_WAITING_BYTES >= self._waiting and not self._transport.is_closing():
            self._transport.resume_reading()
        return message

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                await self._accept(message["subprotocol"])
            case "websocket.send":
                await self._write(self._codec.encode(message["bytes"]))
            case "websocket.close":
                self._end(self._codec.end())
            case "websocket.http.response.start":
                await self._write(_head(message["status"], message["headers"]))
            case _:
                await self._write(message["body"])
                if not message.get("more_body"):
                    self._end()

    async def _accept(self, subprotocol: str) -> None:
        headers = [
            (b"upgrade", b"SPDY/3.1"),
            (b"connection", b"Upgrade"),
            (_VERSION_HEADER, subprotocol.removeprefix("SPDY/3.1+").encode()),
        ]
        channels = None
        if subprotocol != _TUNNEL:
            expected = _expected(self._scope["query_string"])
            self._codec = channels = _Channels(expected, self._transport)
        await self._write(_head(101, headers))
        if channels is not None:
            try:
                async with asyncio.timeout(_STREAMS_SECONDS):
                    await channels.complete.wait()
            except TimeoutError as error:
                self._transport.abort()
                raise ConnectionError("the client did not open its streams") from error

    async def _write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionError("the client has gone")
        if data:
            self._transport.write(data)
        await self._writable.wait()

    def _end(self, last: bytes = b"") -> None:
        if not self._transport.is_closing():
            self._transport.write(last)
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)


def _expected(query: bytes) -> set[int]:
    """The channels of a request for a command's or a container's streams."""
    asked = parse_qs(query.decode("latin-1"))

    def has(name: str) -> bool:
        return asked.get(name, [""])[0].lower() in ("1", "t", "true")

    names = ["error", *(name for name in ("stdin", "stdout") if has(name))]
    if has("tty"):
        names.append("resize")
    elif has("stderr"):
        names.append("stderr")
    return {_CHANNELS[name] for name in names}


def _head(code: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    phrase = ""
    with contextlib.suppress(ValueError):
        phrase = http.HTTPStatus(code).phrase
    lines = [b"HTTP/1.1 %d %s" % (code, phrase.encode())]
    if code != 101:
        headers = [*headers, (b"connection", b"close")]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
