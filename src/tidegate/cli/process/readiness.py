"""How a platform that starts in the background tells the command that started it how it goes.

The parent passes the write end of a pipe; the child writes one line for each stage, and the end
of the pipe without `ready` means that it died. No polling, no guessing.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Generator
from contextlib import contextmanager

from tidegate.kube.errors import UserError

READY = "ready"
_FAILED = "failed "
_DESCRIPTOR = "TIDEGATE_READY_FD"


class Announcer:
    """The child's side; says nothing where nobody listens."""

    def __init__(self) -> None:
        value = os.environ.pop(_DESCRIPTOR, "")
        self._descriptor = int(value) if value.isdigit() else -1

    @property
    def is_heard(self) -> bool:
        """Whether a parent listens."""
        return self._descriptor >= 0

    def stage(self, text: str) -> None:
        """Tell the parent of a stage; `READY` ends the conversation."""
        self._write(text)
        if text == READY:
            self._close()

    def failed(self, message: str) -> None:
        """Tell the parent why there will be no platform."""
        self._write(_FAILED + " ".join(message.split()))
        self._close()

    def _write(self, line: str) -> None:
        if self._descriptor >= 0:
            try:
                os.write(self._descriptor, (line + "\n").encode())
            except OSError:
                self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def announcing() -> Generator[Announcer]:
    """Tell the parent why there will be nothing, if the context ends by an error."""
    announcer = Announcer()
    try:
        yield announcer
    except UserError as error:
        announcer.failed(str(error))
        raise
    except Exception as error:
        announcer.failed(f"{type(error).__name__}: {error}")
        raise


class StartError(Exception):
    """The child said why it failed, or died, or took too long; the message says which."""


def environment_for(descriptor: int) -> dict[str, str]:
    """The environment of a child that announces on `descriptor`."""
    return {**os.environ, _DESCRIPTOR: str(descriptor)}


def stages(descriptor: int, *, timeout: float) -> Generator[str]:
    """The parent's side: stages as they come, ending after `ready`.

    Raises:
        StartError: see there. `timeout` is in seconds, over all stages.
    """
    deadline = time.monotonic() + timeout
    buffer = b""
    while True:
        readable, _, _ = select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
        if not readable:
            raise StartError(f"it was not ready after {timeout:.0f} s")
        chunk = os.read(descriptor, 4096)
        if not chunk:
            raise StartError("it ended before it was ready")
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            text = line.decode()
            if text.startswith(_FAILED):
                raise StartError(text.removeprefix(_FAILED))
            yield text
            if text == READY:
                return
