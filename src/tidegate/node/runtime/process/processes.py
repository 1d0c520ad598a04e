"""Naming, watching and signalling processes that need not be our children.

A process is named by its pid and its start time: pids are used again, the pair is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path


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


def process_name(pid: int) -> ProcessName:
    """The name of the process that has this pid now."""
    fields = _stat(pid)
    return ProcessName(pid, int(fields[19]) if fields else 0)


def _stat(pid: int) -> list[bytes] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
