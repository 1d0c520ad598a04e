"""Requests at a fixed rate, whether or not earlier ones have been answered.

Latency counts from the moment a request was due, so that a stall of whoever answers, or of this
generator, is not hidden by requests that were never sent.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field


@dataclass
class Latencies:
    """What came back.

    Attributes:
        seconds: of each answered request.
        failed: why others were not answered 200.
    """

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def milliseconds(self, percent: float) -> float:
        """A percentile, by nearest rank."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


class OpenLoop:
    """A client with as many keep-alive connections as it takes.

    Args:
        port: of 127.0.0.1.
        host, path: what to ask for.
    """

    def __init__(self, port: int, host: str, path: str) -> None:
        self._port = port
        self._host = host
        self._path = path
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, *, rate: float, seconds: float) -> Latencies:
        """Send `rate` requests per second, and wait for all answers."""
        found = Latencies()
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = start + number / rate
                if (ahead := due - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                group.create_task(self._one(f"{id(found)}-{number}", due, found))
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
        return found

    async def _one(self, number: str, due: float, found: Latencies) -> None:
        try:
            connection = self._take() or await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = connection
            writer.write(
                f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\n"
                f"X-Request-Id: {number}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        except (OSError, asyncio.IncompleteReadError) as error:
            found.failed.append(type(error).__name__)
            return
        self._idle.append(connection)
        status = head.split(b" ", 2)[1]
        if status == b"200":
            found.seconds.append(time.perf_counter() - due)
        else:
            found.failed.append(status.decode())

    def _take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection[0].at_eof():
                return connection
            connection[1].close()
        return None
