"""SPDY's bytes."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apiserver.http.spdy import opening
from tidegate.apiserver.http import spdy


def test_the_dictionary_is_the_protocols() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


@given(st.lists(st.integers(1, 40)), st.binary(max_size=100))
def test_frames_are_read_from_pieces_of_any_size(cuts: list[int], data: bytes) -> None:
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    headers = {"streamtype": "data", "port": "80", "requestid": "0"}
    sent = (
        opening(1, {**headers, "streamtype": "error"}, deflate, last=True)
        + opening(3, headers, deflate)
        + spdy.data_frame(3, data)
        + spdy.pong(7)
        + spdy.data_frame(3, b"", last=True)
    )
    decoder = spdy.Decoder()
    frames: list[spdy.Frame] = []
    for cut in [*cuts, len(sent)]:
        frames += decoder.feed(sent[:cut])
        sent = sent[cut:]
    assert frames == [
        spdy.Opened(1, {**headers, "streamtype": "error"}),
        spdy.Data(1, b"", last=True),
        spdy.Opened(3, headers),
        spdy.Data(3, data, last=False),
        spdy.Ping(7),
        spdy.Data(3, b"", last=True),
    ]


def test_replies_share_one_stream_of_headers() -> None:
    encoder, inflate = spdy.Encoder(), zlib.decompressobj(zdict=spdy.DICTIONARY)
    for stream in (1, 3):
        frame = encoder.reply(stream)
        assert struct.unpack("!HH", frame[:4]) == (0x8003, 2)
        assert int.from_bytes(frame[8:12], "big") == stream
        assert inflate.decompress(frame[12:]) == bytes(4)


def bomb() -> bytes:
    return opening(1, {"port": "8" * 100_000}, zlib.compressobj(zdict=spdy.DICTIONARY))


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!HHI", 0x8002, 6, 4) + bytes(4),
        struct.pack("!II", 1, 0xFFFFFF),
        struct.pack("!HHI", 0x8003, 6, 1) + bytes(1),
        struct.pack("!HHI", 0x8003, 1, 14) + bytes(14),
        bomb(),
    ],
    ids=["version", "length", "short", "headers", "bomb"],
)
def test_what_is_no_spdy_is_refused(data: bytes) -> None:
    with pytest.raises(spdy.ProtocolError):
        list(spdy.Decoder().feed(data))
