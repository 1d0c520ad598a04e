"""Commands beside a container's processes: with its environment, in its directory, and no longer
than it or than whoever asked for them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import struct
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from tidegate.kube.errors import InternalError
from tidegate.node.runtime.commands import Invocation
from tidegate.node.runtime.process.processes import ProcessName, process_name

EXEC_CHILD = Path(__file__).with_name("exec_child.py")
_READ_SIZE = 32 * 1024
_END_OF_INPUT = b"\x04"


class Streams(Protocol):
    """Where a command reads and writes."""

    async def read(self, stream: int) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close_input(self) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...


class ProcessCommand:
    """A command as a process of ours, the leader of its group."""

    def __init__(self, process: Process, streams: Streams) -> None:
        self._process = process
        self._name = process_name(process.pid)
        self.read = streams.read
        self.write = streams.write
        self.close_input = streams.close_input
        self.resize = streams.resize

    async def wait(self) -> int:
        """Wait for its end, which is that of its group as well."""
        await self._name.wait_dead()
        self._name.kill_rest()
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    def kill(self) -> None:
        """End all its processes."""
        self._name.kill_rest()


class _Pipes:
    def __init__(self, process: Process) -> None:
        self._stdin = process.stdin
        self._outputs = {1: process.stdout, 2: process.stderr}

    async def read(self, stream: int) -> bytes:
        reader = self._outputs.get(stream)
        return await reader.read(_READ_SIZE) if reader else b""

    async def write(self, data: bytes) -> None:
        if self._stdin is not None:
            # A command need not read all that it is given.
            with contextlib.suppress(OSError):
                self._stdin.write(data)
                await self._stdin.drain()

    async def close_input(self) -> None:
        if self._stdin is not None:
            self._stdin.close()

    def resize(self, columns: int, rows: int) -> None:
        del columns, rows


class _Terminal:
    """The platform's side of a pseudo-terminal; everything the command writes is stream 1."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._loop = asyncio.get_running_loop()
        os.set_blocking(side, False)

    async def read(self, stream: int) -> bytes:
        while stream == 1:
            try:
                return os.read(self._side, _READ_SIZE)
            except BlockingIOError:
                await self._wait(self._loop.add_reader, self._loop.remove_reader)
            except OSError:
                break  # how a terminal says that its last user has gone
        return b""

    async def write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._side, data) :]
            except BlockingIOError:
                await self._wait(self._loop.add_writer, self._loop.remove_writer)
            except OSError:
                return

    async def close_input(self) -> None:
        await self.write(_END_OF_INPUT)

    def resize(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._side, termios.TIOCSWINSZ, size)

    async def _wait(self, add: Callable[..., object], remove: Callable[[int], object]) -> None:
        ready = asyncio.Event()
        add(self._side, ready.set)
        try:
            await ready.wait()
        finally:
            remove(self._side)


@asynccontextmanager
async def run_command(
    invocation: Invocation, container: ProcessName, prefix: Sequence[str]
) -> AsyncGenerator[ProcessCommand]:
    """Run a command until the context ends or `container` dies.

    Args:
        invocation: the command.
        container: the process it is to end with.
        prefix: what makes a command run inside the container.
    Raises:
        InternalError: there is no such program.
    """
    _check_program(invocation, f"/proc/{container.pid}/root")
    with contextlib.ExitStack() as stack:
        command = await _start(invocation, prefix, stack)
        watching = asyncio.create_task(_kill_after(container, command))
        try:
            yield command
        finally:
            watching.cancel()
            command.kill()
            await command.wait()


async def _kill_after(container: ProcessName, command: ProcessCommand) -> None:
    await container.wait_dead()
    command.kill()


def _check_program(invocation: Invocation, root: str) -> None:
    name = invocation.argv[0]
    search = invocation.env.get("PATH", os.defpath)
    if "/" in name:
        path = str(invocation.working_dir / name)
        # Links in the container's tree may lead through the machine's; either view will do.
        found = shutil.which(f"{root}{path}") or shutil.which(path)
    else:
        inside = os.pathsep.join(f"{root}{part}" for part in search.split(os.pathsep))
        found = shutil.which(name, path=inside) or shutil.which(name, path=search)
    if found is None:
        problem = (
            "no such file or directory" if "/" in name else "executable file not found in $PATH"
        )
        raise InternalError(
            f'Internal error occurred: failed to exec in container: exec: "{name}": {problem}'
        )


async def _start(
    invocation: Invocation, prefix: Sequence[str], stack: contextlib.ExitStack
) -> ProcessCommand:
    if not invocation.tty:
        process = await _spawn(invocation, prefix, PIPE if invocation.stdin else DEVNULL, PIPE)
        return ProcessCommand(process, _Pipes(process))
    ours, theirs = os.openpty()
    stack.callback(os.close, ours)
    try:
        process = await _spawn(invocation, prefix, theirs, theirs)
    finally:
        os.close(theirs)
    return ProcessCommand(process, _Terminal(ours))


async def _spawn(invocation: Invocation, prefix: Sequence[str], stdin: int, output: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *(*prefix, *invocation.argv),
        stdin=stdin,
        stdout=output,
        stderr=output,
        env=dict(invocation.env),
        start_new_session=True,
    )
