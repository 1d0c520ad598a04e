"""Naming, watching and signalling processes that need not be our children.

A process is named by its pid and its start time: pids are used again, the pair is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

# The kernel ends killed processes soon, but for one that waits for a device.
_ROUNDS = 100
_ROUND_SECONDS = 0.01


@dataclass(frozen=True)
class ProcessName:
    """A process of this machine since its boot; `start_time` is field 22 of /proc/<pid>/stat."""

    pid: int
    start_time: int

    def is_alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.start_time and fields[0] != b"Z"

    def signal_group(self, number: int) -> None:
        """Signal all processes of the group it leads; nothing if it has ended."""
        if not self.is_alive():
            return
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                # Forked a moment ago and not yet leading a group of its own.
                os.kill(self.pid, number)

    def kill_rest(self) -> None:
        """End what is left of its group after its own end."""
        # A number that is still a group's is not given to a new process: unless a later process
        # has it, the group of that number, if any, is the one it led.
        fields = _stat(self.pid)
        if fields is None or int(fields[19]) == self.start_time:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def wait_dead(self) -> None:
        """Wait until it has ended, whoever its parent is."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        try:
            if self.is_alive():
                loop.add_reader(handle, ended.set)
                await ended.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)


class View:
    """The processes that see the same mounts as one of them: those of a container and what has
    joined it, wherever they are in the tree.

    The view is held, so that its number is no other's; `end` must be called once.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def of(cls, pid: int) -> View | None:
        """That of a process; None when it has ended or sees what we see."""
        try:
            handle = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if os.path.samestat(os.fstat(handle), os.stat("/proc/self/ns/mnt")):  # noqa: PTH116
            os.close(handle)
            return None
        return cls(handle)

    def end(self) -> None:
        """End all of them; blocks."""
        status = os.fstat(self._handle)
        # Again, for what one of them has forked meanwhile.
        for _ in range(_ROUNDS):
            pids = [pid for pid in _pids() if _sees(pid, status)]
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_ROUND_SECONDS)
        os.close(self._handle)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _sees(pid: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/mnt"), status)  # noqa: PTH116
    except OSError:
        return False


def process_name(pid: int) -> ProcessName:
    """The name of the process that has this pid now."""
    fields = _stat(pid)
    return ProcessName(pid, int(fields[19]) if fields else 0)


def _stat(pid: int) -> list[bytes] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
