"""A small HTTP client that can leave at any moment, by FIN or by RST."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def pod(self) -> str:
        return self.headers.get("tidegate-pod", "")


class Request:
    """One request on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self, timeout: float = 30.0) -> Answer:
        try:
            async with asyncio.timeout(timeout):
                return await self._read()
        finally:
            self._writer.close()

    async def kept(self) -> Answer:
        """The answer, without closing the connection."""
        return await self._read()

    async def _read(self) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            if line:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(first.split()[1]), headers, body)

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
            if not size:
                return body

    def again(self, host: str, path: str) -> None:
        """Send another request on the connection, which has an answer."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    def leave(self, *, reset: bool) -> None:
        """Close the connection: orderly, or with a reset."""
        if self._writer.transport.is_closing():
            return
        if reset:
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort() if reset else self._writer.close()


async def send(
    port: int,
    host: str,
    path: str = "/headers",
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    asks: bool = True,
) -> Request:
    """Send a request, which may ask for its pod's name, and do not wait for its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += ["Tidegate-Debug: 1"] if asks else []
    if body:
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    return Request(reader, writer)


async def fetch(
    port: int,
    host: str,
    path: str = "/headers",
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    asks: bool = True,
) -> Answer:
    """One request and its answer."""
    request = await send(port, host, path, headers=headers, body=body, asks=asks)
    return await request.answer()
