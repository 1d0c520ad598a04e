"""SPDY 3.1 in bytes: as much as kubectl's port-forward speaks inside a WebSocket.

Control frames: 1 bit set, 15 bits version, 16 bits type, 8 bits flags, 24 bits length. Data frames:
1 bit clear, 31 bits stream, flags and length as before. Headers are names and values with 32 bits
of length each, in one zlib stream per direction that begins with the protocol's dictionary (SPDY
protocol, draft 3, section 2.6.10.1).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_VERSION = 0x8003
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 0x01
_REFUSED = 3
_STREAM_MASK = 0x7FFFFFFF
_MAX_HEADERS = 16 * 1024
MAX_FRAME = 1024 * 1024

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language"
    " accept-ranges age allow authorization cache-control connection content-base content-encoding"
    " content-language content-length content-location content-md5 content-range content-type date"
    " etag expect expires from host if-match if-modified-since if-none-match if-range"
    " if-unmodified-since last-modified location max-forwards pragma proxy-authenticate"
    " proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade"
    " user-agent vary via warning www-authenticate method get status"
)
_MORE_WORDS = "200 OK,version,HTTP/1.1,url,public,set-cookie,keep-alive,origin"
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00"
    " Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(
        len(word).to_bytes(4, "big") + word.encode()
        for word in (*_WORDS.split(), *_MORE_WORDS.split(","))
    )
    + _TEXT.encode()
)


class ProtocolError(Exception):
    """The peer does not speak SPDY 3.1 as it should."""


@dataclass(frozen=True)
class Opened:
    """The peer opens a stream."""

    stream: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Data:
    """Data on a stream; `last` says that no more comes."""

    stream: int
    data: bytes
    last: bool


@dataclass(frozen=True)
class Reset:
    """The peer gives a stream up."""

    stream: int


@dataclass(frozen=True)
class Ping:
    """To be answered with the same number."""

    number: int


@dataclass(frozen=True)
class GoAway:
    """The peer opens no more streams."""


Frame = Opened | Data | Reset | Ping | GoAway


class Decoder:
    """Reads what a peer sends, in pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises ProtocolError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            length = int.from_bytes(self._buffer[5:8], "big")
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                return
            head, body = bytes(self._buffer[:5]), bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            yield from self._frames(head, body)

    def _frames(self, head: bytes, body: bytes) -> Iterator[Frame]:
        flags = head[4]
        if not head[0] & 0x80:
            stream = int.from_bytes(head[:4], "big")
            yield Data(stream, body, bool(flags & _FIN))
            return
        version, kind = struct.unpack("!HH", head[:4])
        if version != _VERSION:
            raise ProtocolError("another version of the protocol")
        if kind == _SYN_STREAM:
            stream = _number(body) & _STREAM_MASK
            yield Opened(stream, self._headers(body[10:]))
            if flags & _FIN:
                yield Data(stream, b"", last=True)
        elif kind == _RST_STREAM:
            yield Reset(_number(body) & _STREAM_MASK)
        elif kind == _PING:
            yield Ping(_number(body))
        elif kind == _GOAWAY:
            yield GoAway()

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            raw = self._inflate.decompress(block, _MAX_HEADERS)
        except zlib.error as error:
            raise ProtocolError("headers that cannot be inflated") from error
        if self._inflate.unconsumed_tail:
            raise ProtocolError("headers that are too long")
        count, rest = _number(raw), raw[4:]
        headers: dict[str, str] = {}
        for _ in range(count):
            name, rest = _text(rest)
            headers[name], rest = _text(rest)
        return headers


class Encoder:
    """Writes frames for a peer."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """Accept a stream, without headers; to be sent in the order they were made in."""
        block = self._deflate.compress(bytes(4)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(_SYN_REPLY, struct.pack("!I", stream) + block)


def data_frame(stream: int, data: bytes, *, last: bool = False) -> bytes:
    """Data on a stream."""
    return struct.pack("!II", stream, (_FIN if last else 0) << 24 | len(data)) + data


def refusal(stream: int) -> bytes:
    """Refuse a stream."""
    return _control(_RST_STREAM, struct.pack("!II", stream, _REFUSED))


def pong(number: int) -> bytes:
    """Answer a ping."""
    return _control(_PING, struct.pack("!I", number))


def _control(kind: int, body: bytes) -> bytes:
    return struct.pack("!HHI", _VERSION, kind, len(body)) + body


def _number(data: bytes) -> int:
    if len(data) < 4:
        raise ProtocolError("a frame that is too short")
    return int.from_bytes(data[:4], "big")


def _text(data: bytes) -> tuple[str, bytes]:
    end = 4 + _number(data)
    if len(data) < end:
        raise ProtocolError("headers that are cut off")
    return data[4:end].decode("latin-1"), data[end:]
