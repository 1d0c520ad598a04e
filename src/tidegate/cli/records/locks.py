"""Who runs: each process of ours that stays holds a lock, with its number in the file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tidegate.cli.records.files import writing
from tidegate.kube.errors import UserError

_LOOKING_SECONDS = 0.2


@contextmanager
def hold(lock_file: Path, taken: Callable[[int | None], UserError]) -> Generator[None]:
    """Hold the lock, with our process in it, for as long as the context lasts.

    Raises:
        UserError: `taken`, of the process that holds it.
    """
    with writing(lock_file):
        opened = lock_file.open("a+")
    with opened as lock:
        if not _take(lock):
            raise taken(holder(lock_file))
        with writing(lock_file):
            # Past the buffer, which would try again when the file is closed.
            os.ftruncate(lock.fileno(), 0)
            os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
        yield


def holder(lock_file: Path) -> int | None:
    """The process that holds the lock, None when no one does."""
    try:
        with lock_file.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
    except (FileNotFoundError, PermissionError):
        pass
    return None


def _take(lock: IO[str]) -> bool:
    """Whether the lock is ours; who only looks, as `holder` does, has it for an instant."""
    deadline = time.monotonic() + _LOOKING_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOKING_SECONDS / 20)
        else:
            return True
