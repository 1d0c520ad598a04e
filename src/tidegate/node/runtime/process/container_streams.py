"""The standard streams of a container: its output goes to its log and to who is attached, who may
write its input.

Output comes through the named pipes `stdout` and `stderr` of the container's directory, input goes
through the pipe `stdin`; with a terminal, both are its two ways. Part of the template's program,
which loads it by its path: nothing but the standard library.
"""

# ruff: noqa: PTH110, PTH118

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import socket
import termios
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.node.runtime.process import attachments, container_logs
else:
    import attachments
    import container_logs

STREAMS = {"stdout": attachments.OUTPUT, "stderr": attachments.ERRORS}
# More of a container's output than this waits for nobody who is attached.
BACKLOG = 1 << 20


class Ends:
    """The container's ends of its streams, for the process that becomes it.

    Attributes:
        handles: of its input, output and errors.
        terminal: they are one, which it is to control.
    """

    def __init__(self, handles: tuple[int, int, int], *, terminal: bool) -> None:
        self.handles = handles
        self.terminal = terminal

    def take(self) -> None:
        """Make them this process's own."""
        for target, source in enumerate(self.handles):
            os.dup2(source, target)
        if self.terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def close(self) -> None:
        for handle in set(self.handles):
            os.close(handle)


class Early:
    """What a container said before the one client came that it is for, as with `kubectl run -i`.

    Attributes:
        pieces: channels and bytes, the last `BACKLOG` bytes of them.
    """

    def __init__(self) -> None:
        self.pieces: deque[tuple[int, bytes]] = deque()
        self._size = 0

    def keep(self, channel: int, data: bytes) -> None:
        self.pieces.append((channel, data))
        self._size += len(data)
        while self._size > BACKLOG:
            self._size -= len(self.pieces.popleft()[1])


class ContainerStreams:
    """The template's side of one container's streams.

    Args:
        directory: the container's.
        over: is called at the end of all output.
    """

    def __init__(
        self, directory: str, selector: selectors.BaseSelector, over: Callable[[], None]
    ) -> None:
        self._directory = directory
        self._selector = selector
        self._over = over
        self._pumps: dict[container_logs.Pump, attachments.Watch] = {}
        self._attached: set[attachments.Attachment] = set()
        self._input: attachments.Input | None = None
        self._interactive = False
        self._early: Early | None = None

    def make(self, *, stdin: bool, once: bool, tty: bool) -> Ends:
        """Make the streams of a new container.

        Args:
            stdin: it has input.
            once: which ends with the first that is attached.
            tty: they are a terminal.
        """
        if stdin and once:
            self._early = Early()
        if tty:
            self._interactive = True
            return self._make_terminal(stdin=stdin)
        for stream in STREAMS:
            os.mkfifo(self._path(stream), 0o600)
        source = self._make_input(once) if stdin else _nothing()
        self.open()
        handles = [os.open(self._path(stream), os.O_RDWR) for stream in STREAMS]
        return Ends((source, handles[0], handles[1]), terminal=False)

    def open(self) -> None:
        """Read from the pipes, which may be those of a container that has lost its template."""
        self._interactive = os.path.exists(self._path("stdin"))
        log = container_logs.LogFile(self._path("log"))
        for stream, channel in STREAMS.items():
            handle = os.open(self._path(stream), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._add(container_logs.Pump(handle, stream, log), channel)

    def attach(self, link: socket.socket, *, stdin: bool) -> None:
        """Let a connection have the output, and if it wants to, give the input."""
        attachment = attachments.Attachment(
            link,
            self._selector,
            sink=self._sink() if stdin else None,
            moved=self._resume,
            left=self._left,
        )
        self._attached.add(attachment)
        if self._early is not None:
            early, self._early = self._early, None
            for channel, data in early.pieces:
                attachment.offer(channel, data)

    def finish(self) -> None:
        """Take in all output so far, as the container has ended, and tell who is attached."""
        for pump in self._pumps:
            pump.drain()
        for attachment in list(self._attached):
            attachment.finish()

    def forget(self) -> None:
        """In a process that is not the template's: let go of what would close itself later."""
        for attachment in self._attached:
            attachment.link.close()

    # Who is attached

    def _sink(self) -> attachments.Input | None:
        if self._input is None and os.path.exists(self._path("stdin")):
            with contextlib.suppress(OSError):
                handle = os.open(self._path("stdin"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                self._input = attachments.Input(handle, self._selector, self._rearm)
        return self._input

    def _left(self, attachment: attachments.Attachment) -> None:
        self._attached.discard(attachment)
        if attachment.sink is not None:
            attachment.sink.end()
        self._resume()

    def _rearm(self) -> None:
        for attachment in self._attached:
            attachment.rearm()

    def _resume(self) -> None:
        # Only a container that somebody talks to waits for him.
        waits = any(attachment.backlog > BACKLOG for attachment in self._attached)
        for watch in self._pumps.values():
            watch.set(0 if waits else selectors.EVENT_READ)

    # Inside

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _make_input(self, once: bool) -> int:
        path = self._path("stdin")
        os.mkfifo(path, 0o600)
        if not once:
            # The container itself keeps it open: it never comes to an end.
            return os.open(path, os.O_RDWR)
        ours = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._input = attachments.Input(ours, self._selector, self._rearm, path=path)
        return os.open(path, os.O_RDONLY)

    def _make_terminal(self, *, stdin: bool) -> Ends:
        ours, theirs = os.openpty()
        os.set_blocking(ours, False)
        pump = container_logs.Pump(
            ours, "stdout", container_logs.LogFile(self._path("log")), terminal=True
        )
        self._add(pump, attachments.OUTPUT)
        self._input = attachments.Input(
            os.dup(ours), self._selector, self._rearm, terminal=True, deaf=not stdin
        )
        return Ends((theirs, theirs, theirs), terminal=True)

    def _add(self, pump: container_logs.Pump, channel: int) -> None:
        pump.listener = lambda data: self._offer(channel, data)
        watch = attachments.Watch(self._selector, pump.handle, lambda: self._copy(pump))
        self._pumps[pump] = watch
        watch.set(selectors.EVENT_READ)

    def _copy(self, pump: container_logs.Pump) -> None:
        if pump.copy():
            return
        self._pumps.pop(pump).set(0)
        pump.close()
        if not self._pumps:
            self.finish()
            if self._input is not None:
                self._input.close()
            self._over()

    def _offer(self, channel: int, data: bytes) -> None:
        if self._early is not None:
            self._early.keep(channel, data)
        for attachment in list(self._attached):
            attachment.offer(channel, data)
            if attachment.backlog > BACKLOG and not self._interactive:
                # A server must not stand still because somebody looks on slowly.
                attachment.close()
        if self._attached:
            self._resume()


def _nothing() -> int:
    return os.open(os.devnull, os.O_RDONLY)
