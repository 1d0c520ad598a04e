"""Pods for the gateway's tests: real HTTP servers that count what goes on inside them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit


class CountingPod:
    """Computes on, like most programs, whatever becomes of the client.

    `/work?ms=100` answers after that time, `/hold` once `released` is set;
    `/stream?chunks=5&ms=20` sends a chunk each so often, and with `&silence` the end only once
    `released` is set, with `&silent=100` after that time;
    `/nonsense` answers with what is no HTTP;
    `/headers` answers with what it got; `/status?code=425` with that status.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.active = 0
        self.most = 0
        self.seen: list[str] = []
        self.connections: set[asyncio.StreamWriter] = set()
        self.released = asyncio.Event()
        self.server: asyncio.Server

    def die(self) -> None:
        """Close everything at once, as a killed program does."""
        self.server.close()
        for writer in list(self.connections):
            with contextlib.suppress(RuntimeError):
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().split("\r\n")
                headers = _headers(lines[1:])
                await reader.readexactly(int(headers.get("content-length", "0")))
                await self._count(lines[0].split()[1], headers, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.connections.discard(writer)
            writer.close()

    async def _count(
        self, target: str, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        self.active += 1
        self.most = max(self.most, self.active)
        self.seen.append(target)
        try:
            await self._answer(target, headers, writer)
        finally:
            self.active -= 1

    async def _answer(
        self, target: str, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        pause = int(query.get("ms", "0")) / 1000
        if url.path == "/stream":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(int(query["chunks"])):
                await asyncio.sleep(pause)
                writer.write(b"4\r\ndata\r\n")
            if "silence" in query:
                await self.released.wait()
            await asyncio.sleep(int(query.get("silent", "0")) / 1000)
            writer.write(b"0\r\n\r\n")
            return
        if url.path == "/nonsense":
            writer.write(b"SSH-2.0-pod\r\n\r\n")
            return
        if url.path == "/hold":
            await self.released.wait()
        await asyncio.sleep(pause)
        body = json.dumps({"pod": self.name, "target": target, "headers": headers}).encode()
        code = query.get("code", "200")
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


@asynccontextmanager
async def running_pod(name: str) -> AsyncIterator[CountingPod]:
    """A pod on a port of its own; at the end it breaks off what it has."""
    pod = CountingPod(name)
    pod.server = await asyncio.start_server(pod.serve, "127.0.0.1", 0)
    pod.port = pod.server.sockets[0].getsockname()[1]
    try:
        yield pod
    finally:
        pod.die()


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if line)
    found: dict[str, str] = {}
    for name, _, value in pairs:
        key = name.lower()
        found[key] = f"{found[key]}, {value.strip()}" if key in found else value.strip()
    return found
