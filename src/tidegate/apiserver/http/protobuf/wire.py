"""The wire format of protocol buffers: a message as a row of numbered values."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_SIGN = 1 << 63


def read_fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and raw value of each field: an integer, a float, or bytes.

    Raises:
        ValueError: it is no such message.
    """
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
        elif wire_type == _BYTES:
            size, position = _varint(data, position)
            yield number, _slice(data, position, size)
            position += size
        elif wire_type == _FIXED64:
            yield number, struct.unpack("<d", _slice(data, position, 8))[0]
            position += 8
        elif wire_type == _FIXED32:
            yield number, struct.unpack("<f", _slice(data, position, 4))[0]
            position += 4
        else:
            raise ValueError(f"unknown wire type {wire_type}")


def signed(value: int) -> int:
    """An integer as int32 and int64 fields mean it."""
    return value - (_SIGN << 1) if value >= _SIGN else value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= len(data):
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & ((_SIGN << 1) - 1), position + index + 1
    raise ValueError("a number does not end")


def _slice(data: bytes, position: int, size: int) -> bytes:
    if position + size > len(data):
        raise ValueError("a field goes beyond the end")
    return data[position : position + size]
