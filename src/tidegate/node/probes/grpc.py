"""The question of a gRPC probe: `grpc.health.v1.Health/Check`, one call on one connection.

The protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md. Its two messages are
so small that they are written and read here by hand: the request has a string as field 1, the
answer an enumeration as field 1.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from tidegate.node.probes.timing import Answer

_READ_SIZE = 16 << 10
_ANSWER_LIMIT = 64 << 10
_SERVING = 1
_NAMES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


@dataclass
class _Call:
    """What has come of the answer."""

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    ended: bool = False


async def check_health(host: str, port: int, service: str) -> Answer:
    """Ask a server whether `service` (empty: the server itself) is serving. Raises OSError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return await _ask(reader, writer, f"{host}:{port}", service)
    except ProtocolError as error:
        return Answer(False, f"the answer is not gRPC: {error}")
    finally:
        writer.close()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, service: str
) -> Answer:
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    connection.send_headers(
        stream,
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", "kube-probe/1.32"),
        ],
    )
    connection.send_data(stream, _request(service), end_stream=True)
    writer.write(connection.data_to_send())
    call = _Call()
    while not call.ended:
        data = await reader.read(_READ_SIZE)
        if not data:
            return Answer(False, "the connection was closed before the answer")
        for event in connection.receive_data(data):
            _note(call, event, connection)
        writer.write(connection.data_to_send())
    return _verdict(call)


def _note(call: _Call, event: Event, connection: H2Connection) -> None:
    if isinstance(event, ResponseReceived | TrailersReceived):
        call.headers |= {str(name): str(value) for name, value in event.headers or ()}
    elif isinstance(event, DataReceived):
        call.body = (call.body + bytes(event.data or b""))[:_ANSWER_LIMIT]
        connection.acknowledge_received_data(
            event.flow_controlled_length or 0, event.stream_id or 0
        )
    elif isinstance(event, StreamEnded | StreamReset):
        call.ended = True


def _verdict(call: _Call) -> Answer:
    status = call.headers.get("grpc-status", "")
    if status != "0":
        message = call.headers.get("grpc-message") or "no message"
        return Answer(False, f"gRPC status {status or 'missing'}: {message}")
    serving = _status(call.body)
    name = _NAMES.get(serving, str(serving))
    return Answer(serving == _SERVING, f"service unhealthy (responded with {name!r})")


def _request(service: str) -> bytes:
    name = service.encode()
    message = b"\x0a" + _length(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _length(number: int) -> bytes:
    """A number as protocol buffers write it."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _status(body: bytes) -> int:
    """Field 1 of the message in a frame; a default value is left out by who writes it."""
    message = body[5:]
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0
