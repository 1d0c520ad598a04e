"""Copies what a container writes to its log file, as the Container Runtime Interface prescribes.

Part of the template's program, which loads it by its path: nothing but the standard library.
"""

# ruff: noqa: PTH105

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

LOG_LIMIT = 10 << 20
LINE_LIMIT = 16 << 10
READ_SIZE = 64 << 10


class LogFile:
    """A container's log; the file before the last rotation is kept as `<path>.1`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = self._open()
        self._size = os.fstat(self._handle).st_size
        self._users = 0

    def join(self) -> LogFile:
        self._users += 1
        return self

    def leave(self) -> None:
        self._users -= 1
        if self._users == 0:
            os.close(self._handle)

    def write(self, data: bytes) -> None:
        """Append; what a full disk does not take is lost, for the container must go on."""
        with contextlib.suppress(OSError):
            if self._size and self._size + len(data) > LOG_LIMIT:
                self._rotate()
            self._size += os.write(self._handle, data)

    def _rotate(self) -> None:
        os.replace(self.path, f"{self.path}.1")
        fresh = self._open()
        os.close(self._handle)
        self._handle = fresh
        self._size = 0

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


class Pump:
    """Copies one output stream of a container to its log.

    Args:
        handle: to read from, without waiting.
        stream: what the log calls it.
        terminal: what has no end of line yet is a prompt, and is written at once.

    Attributes:
        listener: is given all that is copied.
    """

    def __init__(self, handle: int, stream: str, log: LogFile, *, terminal: bool = False) -> None:
        self.handle = handle
        self.listener: Callable[[bytes], None] = _nobody
        self._stream = stream
        self._log = log.join()
        self._limit = 1 if terminal else LINE_LIMIT
        self._rest = b""

    def copy(self) -> bool:
        """Copy what is there, at most `READ_SIZE`; False at the end of the stream."""
        try:
            data = os.read(self.handle, READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            # A terminal that nobody uses any more.
            return False
        self._take(data)
        return data != b""

    def drain(self) -> None:
        """Copy everything written so far."""
        with contextlib.suppress(OSError):
            while data := os.read(self.handle, READ_SIZE):
                self._take(data)

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self.listener(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        records = [(line, b"F") for line in lines]
        while len(self._rest) >= self._limit:
            records.append((self._rest[:LINE_LIMIT], b"P"))
            self._rest = self._rest[LINE_LIMIT:]
        self._write(records)

    def close(self) -> None:
        if self._rest:
            self._write([(self._rest, b"F")])
        os.close(self.handle)
        self._log.leave()

    def _write(self, records: list[tuple[bytes, bytes]]) -> None:
        head = f"{_timestamp()} {self._stream} ".encode()
        if records:
            self._log.write(b"".join(b"%s%s %s\n" % (head, tag, line) for line, tag in records))


def _nobody(data: bytes) -> None:
    """Nobody is attached."""


def _timestamp() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"
