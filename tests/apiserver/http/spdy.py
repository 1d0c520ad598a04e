"""The client's side of SPDY, as kubectl speaks it."""

from __future__ import annotations

import struct
import zlib


def opening(stream: int, headers: dict[str, str], deflate, *, last: bool = False) -> bytes:
    block = len(headers).to_bytes(4, "big")
    for name, value in headers.items():
        for text in (name, value):
            block += len(text).to_bytes(4, "big") + text.encode()
    packed = deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)
    body = struct.pack("!IIBB", stream, 0, 0, 0) + packed
    return struct.pack("!HHI", 0x8003, 1, (1 << 24 if last else 0) | len(body)) + body
