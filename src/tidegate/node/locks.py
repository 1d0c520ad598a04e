"""A lock between processes on a file, for what is built once and used by many."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tidegate.kube.errors import InternalFault

_POLL_SECONDS = 0.05


@contextmanager
def file_lock(path: Path, *, timeout: float = 60.0) -> Generator[None]:
    """Hold the lock on `path`; blocks, so call it in a thread. Ends with the process.

    Raises:
        InternalFault: another process holds it for longer than `timeout` seconds.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, path, timeout)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise InternalFault(f"{path} is locked by another process") from None
            time.sleep(_POLL_SECONDS)
        else:
            return
