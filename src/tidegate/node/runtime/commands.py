"""Commands in running containers, as `kubectl exec` wants them: what a runtime offers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Invocation:
    """One command.

    Attributes:
        directory: of the container's start.
        argv: program and arguments.
        env: the complete environment.
        working_dir: where it begins.
        stdin: it gets input; without, it reads nothing.
        tty: its streams are one terminal.
    """

    directory: Path
    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: Path
    stdin: bool
    tty: bool


class Command(Protocol):
    """A command that runs."""

    async def read(self, stream: int) -> bytes:
        """Some output of stream 1 or 2, as it comes; empty at its end."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none."""
        ...

    async def close_input(self) -> None:
        """Tell it that no more input comes."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal the size."""
        ...

    async def wait(self) -> int:
        """Its exit code; 128 + signal for one that was killed."""
        ...


class Attached(Protocol):
    """The streams of a container's own program."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes from now on, until it ends: stream 1 or 2, and some of its output."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none. Goes nowhere if it has no input."""
        ...

    async def close_input(self) -> None:
        """Tell it that no more input comes, if its input can end."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal the size."""
        ...


class CommandRuntime(Protocol):
    """A runtime that can run commands in its containers."""

    def attach(self, directory: Path, *, stdin: bool) -> AbstractAsyncContextManager[Attached]:
        """Be attached to the container of a start, for as long as the context is open.

        Raises:
            BadRequest: the container does not run.
        """
        ...

    def command(self, invocation: Invocation) -> AbstractAsyncContextManager[Command]:
        """Run a command; it ends with the context, and with its container.

        Raises:
            BadRequest: the container does not run.
            InternalError: the command cannot be started.
        """
        ...
