"""Clients that ask, wait, and leave when they like: by FIN or by RST, queued or served.

Everything is noted with `time.monotonic`, the clock that the pods' reports have too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_PATIENCE_SECONDS = 90.0


@dataclass
class Sent:
    """One request and what its client saw.

    Attributes:
        number: its id, unlike any other's.
        service: which service it asked.
        milliseconds: of work it asked for.
        length: bytes of its body.
        sent, ended: monotonic seconds; `ended` is when the answer was whole, or the client gone.
        status: of the answer; 0 if none came.
        body, pod: of the answer.
        left: the client went before the answer, on purpose, and `ended` is when the kernel knew.
        error: what ended a request whose client had stayed.
    """

    number: str
    service: str
    milliseconds: int
    length: int = 0
    sent: float = 0.0
    ended: float = 0.0
    status: int = 0
    body: str = ""
    pod: str = ""
    left: bool = False
    error: str = ""


@dataclass(frozen=True)
class Habits:
    """What one crowd of clients is like.

    Attributes:
        leaving: share of requests whose client leaves before the answer; half of them ask again
            at once, as one does whose page does not load.
        stay_seconds: the longest a leaving client stays.
        work_ms: the longest usual work; one request in thirty takes twenty times as long.
        long_bytes: of the body of one request in twenty, more than HAProxy keeps; its client stays.
        endless_ms: work that takes longer than its revision may; one request in 400.
        pause_seconds: between a client's requests at most.
    """

    leaving: float = 0.2
    stay_seconds: float = 0.3
    work_ms: int = 60
    long_bytes: int = 200_000
    endless_ms: int = 7000
    pause_seconds: float = 0.02


class Connection:
    """A keep-alive connection; opened when needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Sent) -> None:
        """Send the request and take its answer down."""
        try:
            if self._reader is not None and self._reader.at_eof():
                # Closed while nothing was asked: no request is lost by that.
                self.close(reset=False)
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            assert self._reader is not None
            request.sent = time.monotonic()
            method = "POST" if request.length else "GET"
            self._writer.write(
                f"{method} /work?ms={request.milliseconds} HTTP/1.1\r\n"
                f"Host: {request.service}.default.localhost\r\n"
                f"Content-Length: {request.length}\r\n"
                f"X-Request-Id: {request.number}\r\n"
                "Tidegate-Debug: 1\r\n\r\n".encode()
                + bytes(request.length)
            )
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(
                line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
            )
            body = await self._reader.readexactly(int(headers["content-length"]))
            request.status = int(head.split(" ", 2)[1])
            request.body, request.pod = body.decode(), headers.get("tidegate-pod", "")
            if headers.get("connection") == "close":
                self.close(reset=False)
        finally:
            request.sent = request.sent or time.monotonic()
            request.ended = time.monotonic()

    def close(self, *, reset: bool) -> None:
        if self._writer is None:
            return
        with contextlib.suppress(OSError, RuntimeError):
            if reset:
                raw = self._writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._writer.transport.abort()
            else:
                self._writer.close()
        self._reader = self._writer = None


class Crowd:
    """Clients of one service, as many as told at the moment.

    Args:
        port: of the gateway.
        service: whom they ask.
        habits: how they behave.
        seed: of everything they decide.
    """

    def __init__(self, port: int, service: str, habits: Habits, *, seed: str) -> None:
        self._port = port
        self._service = service
        self._habits = habits
        self._seed = seed
        self._chance = random.Random(f"{seed}-{service}")
        self._wanted = 0
        self._changed = asyncio.Condition()
        self.sent: list[Sent] = []

    @asynccontextmanager
    async def present(self, most: int) -> AsyncGenerator[None]:
        """Up to `most` clients; at the end each finishes what it has asked."""
        async with asyncio.TaskGroup() as group:
            for place in range(most):
                group.create_task(self._client(place))
            try:
                yield
            finally:
                await self.resize(-1)

    async def resize(self, number: int) -> None:
        """So many clients from now on; -1 ends them all."""
        async with self._changed:
            self._wanted = number
            self._changed.notify_all()

    async def _client(self, place: int) -> None:
        connection = Connection(self._port)
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._wanted > place or self._wanted < 0)
            if self._wanted < 0:
                break
            request = await self._one(connection)
            if not request.left or self._chance.random() < 0.5:
                await asyncio.sleep(self._chance.random() * self._habits.pause_seconds)
        connection.close(reset=False)

    async def _one(self, connection: Connection) -> Sent:
        chance, habits = self._chance, self._habits
        work = chance.randint(1, habits.work_ms) * (20 if chance.random() < 0.03 else 1)
        is_endless = len(self.sent) % 400 == 100
        if is_endless:
            work = habits.endless_ms
        length = habits.long_bytes if chance.random() < 0.05 else 0
        number = f"{self._seed}-{self._service}-{len(self.sent)}"
        request = Sent(number, self._service, work, length)
        self.sent.append(request)
        leaves = chance.random() < habits.leaving and not is_endless and not length
        # Skewed: some leave at once, some while they are served, some after a long wait.
        stay = chance.random() ** 3 * habits.stay_seconds if leaves else _PATIENCE_SECONDS
        try:
            async with asyncio.timeout(stay):
                await connection.ask(request)
        except TimeoutError:
            request.left = leaves
            request.error = "" if leaves else f"no answer in {_PATIENCE_SECONDS:.0f} s"
            connection.close(reset=chance.random() < 0.5)
            # The socket is closed in the loop's next turn.
            await asyncio.sleep(0)
            request.ended = time.monotonic()
        except (asyncio.IncompleteReadError, OSError) as error:
            request.error = type(error).__name__
            connection.close(reset=False)
            # Nobody listens for a moment when HAProxy has been killed.
            await asyncio.sleep(0.05)
        else:
            if chance.random() < 0.5:
                connection.close(reset=chance.random() < 0.5)
        return request


@dataclass(frozen=True)
class Beat:
    """A question that HAProxy answers itself: by `answered` it has read what came by `asked`."""

    asked: float
    answered: float


class Pulse:
    """Asks HAProxy for nothing, again and again: how soon it comes round to what is there to read.

    Args:
        port: of the gateway.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.beats: list[Beat] = []

    @asynccontextmanager
    async def felt(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(30):
                    await self._beat()
            await asyncio.sleep(0.02)

    async def _beat(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            asked = time.monotonic()
            writer.write(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
            if (await reader.readline()).startswith(b"HTTP/1.1 404"):
                self.beats.append(Beat(asked, time.monotonic()))
        finally:
            writer.close()
