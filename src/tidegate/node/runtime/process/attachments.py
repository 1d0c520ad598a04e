"""Who is attached to a container: takes its output in frames, and gives it its input.

A frame is a byte that says what it is, four that say how long, and the bytes. OUTPUT and ERRORS
come, INPUT, END and SIZE (columns and rows, two bytes each) go.

Part of the template's program, which loads it by its path: nothing but the standard library.
"""

# ruff: noqa: PTH108

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import socket
import struct
import termios
from collections.abc import Callable

INPUT, OUTPUT, ERRORS, END, SIZE = 0, 1, 2, 3, 4
FRAME = struct.Struct("!BI")
SIDES = struct.Struct("!HH")
READ_SIZE = 64 << 10


class Watch:
    """The place of a descriptor in the selector: what is waited for may become nothing."""

    def __init__(
        self, selector: selectors.BaseSelector, handle: int, call: Callable[[], None]
    ) -> None:
        self._selector = selector
        self._handle = handle
        self._call = call
        self._events = 0

    def set(self, events: int) -> None:
        if events == self._events:
            return
        if not self._events:
            self._selector.register(self._handle, events, self._call)
        elif events:
            self._selector.modify(self._handle, events, self._call)
        else:
            self._selector.unregister(self._handle)
        self._events = events


class Input:
    """What takes a container's input.

    Args:
        handle: to write to, without waiting.
        moved: is called when it may have room again.
        path: of the pipe to do away with at the end of input; without, the end changes nothing.
        terminal: it has a size.
        deaf: what is written goes nowhere.
    """

    def __init__(
        self,
        handle: int,
        selector: selectors.BaseSelector,
        moved: Callable[[], None],
        *,
        path: str = "",
        terminal: bool = False,
        deaf: bool = False,
    ) -> None:
        self._handle = handle
        self._moved = moved
        self._path = path
        self._terminal = terminal
        self._deaf = deaf
        self._waiting = bytearray()
        self._ended = False
        self._closed = False
        self._watch = Watch(selector, handle, self._write_on)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) > READ_SIZE

    def write(self, data: bytes) -> None:
        if not self._closed and not self._ended and not self._deaf:
            self._waiting += data
            self._write_on()

    def end(self) -> None:
        """No more comes, after what waits."""
        self._ended = self._path != ""
        self._write_on()

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal and not self._closed:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._handle, termios.TIOCSWINSZ, size)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._watch.set(0)
            os.close(self._handle)

    def _write_on(self) -> None:
        if self._closed:
            return
        try:
            while self._waiting:
                del self._waiting[: os.write(self._handle, self._waiting)]
        except BlockingIOError:
            self._watch.set(selectors.EVENT_WRITE)
        except OSError:
            # The container has closed its end.
            self._waiting.clear()
        if not self._waiting:
            self._watch.set(0)
            if self._ended:
                with contextlib.suppress(OSError):
                    os.unlink(self._path)
                self.close()
        self._moved()


class Attachment:
    """A connection that is attached to a container.

    Args:
        link: the connection.
        sink: what takes the input that comes, None where none does.
        moved: is called when it may have taken in output.
        left: is called when it has gone.
    """

    def __init__(
        self,
        link: socket.socket,
        selector: selectors.BaseSelector,
        *,
        sink: Input | None,
        moved: Callable[[], None],
        left: Callable[[Attachment], None],
    ) -> None:
        link.setblocking(False)
        self.link = link
        self.sink = sink
        self._moved = moved
        self._left = left
        self._out = bytearray()
        self._in = bytearray()
        self._finished = False
        self._closed = False
        self._watch = Watch(selector, link.fileno(), self._ready)
        self.rearm()

    @property
    def backlog(self) -> int:
        return len(self._out)

    def offer(self, channel: int, data: bytes) -> None:
        """Send output; what it does not take now waits."""
        self._out += FRAME.pack(channel, len(data)) + data
        self._send()

    def finish(self) -> None:
        """Close when all has been sent."""
        self._finished = True
        self._send()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._watch.set(0)
        self.link.close()
        self._out.clear()
        self._left(self)

    def _ready(self) -> None:
        self._send()
        self._receive()
        self._moved()

    def _send(self) -> None:
        if self._closed:
            return
        try:
            while self._out:
                del self._out[: self.link.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        if self._finished and not self._out:
            self.close()
        self.rearm()

    def _receive(self) -> None:
        if self._closed or self._is_stuffed():
            return
        try:
            data = self.link.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._in += data
        while len(self._in) >= FRAME.size:
            kind, size = FRAME.unpack_from(self._in)
            if len(self._in) < FRAME.size + size:
                break
            self._obey(kind, bytes(self._in[FRAME.size : FRAME.size + size]))
            del self._in[: FRAME.size + size]
        self.rearm()

    def _obey(self, kind: int, data: bytes) -> None:
        if self.sink is None:
            return
        if kind == INPUT:
            self.sink.write(data)
        elif kind == END:
            self.sink.end()
        elif kind == SIZE and len(data) == SIDES.size:
            self.sink.resize(*SIDES.unpack(data))

    def _is_stuffed(self) -> bool:
        return self.sink is not None and self.sink.is_full

    def rearm(self) -> None:
        """Wait for what it can do now."""
        if self._closed:
            return
        reads = 0 if self._is_stuffed() else selectors.EVENT_READ
        self._watch.set(reads | (selectors.EVENT_WRITE if self._out else 0))
