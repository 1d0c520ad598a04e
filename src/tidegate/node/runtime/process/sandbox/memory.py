"""A limit on the memory of a container: what it uses is looked at, and it is killed above it.

Counted are the pages without a file behind them, each divided by the number of processes that
share it: what a container has in common with the template it was forked from is not its own. It is
looked at the more often the nearer it is to the limit, so that a program that fills memory as fast
as memory can be written is found out soon after.
"""

from __future__ import annotations

import os
import signal

# Faster than one thread can touch new pages on common machines.
_FILL_BYTES_PER_SECOND = 2 << 30
_SHORTEST = 0.02
_LONGEST = 1.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryWatch:
    """Watches one container.

    Args:
        pid: the leader of its session.
        limit: bytes.
    """

    def __init__(self, pid: int, limit: int) -> None:
        self._pid = pid
        self._limit = limit
        self._handle = os.pidfd_open(pid)
        self.due = 0.0

    def close(self) -> None:
        """Give up watching; not in a forked process, which has closed all that is not its own."""
        os.close(self._handle)

    def is_alive(self) -> bool:
        """Whether the pid is still the process it was."""
        try:
            signal.pidfd_send_signal(self._handle, 0)
        except ProcessLookupError:
            return False
        return True

    def is_exceeded(self, now: float) -> bool:
        """Look; `due` says when to look again."""
        pids = processes(self._pid)
        # All that is resident is quick to read and never less than what counts.
        used = sum(_resident(pid) for pid in pids)
        if used > self._limit:
            used = sum(own_bytes(pid) for pid in pids)
        left = self._limit - used
        self.due = now + min(_LONGEST, max(_SHORTEST, left / _FILL_BYTES_PER_SECOND))
        return left < 0


def processes(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        found.extend(children(parent))
    return found


def children(pid: int) -> list[int]:
    """The children of a process, those that have ended but not been waited for among them."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    texts = [_read(f"/proc/{pid}/task/{task}/children") for task in tasks]
    return [int(child) for text in texts for child in text.split()]


def own_bytes(pid: int) -> int:
    """The process's share of memory without a file behind it, swapped or not."""
    names = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")
    return sum(
        int(line.split()[1]) << 10
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()
        if line.startswith(names)
    )


def _resident(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
