"""What must hold before a platform starts, each failure with what to do about it."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from tidegate.cli.settings import Settings, writing
from tidegate.kube.errors import UserError

_LOOKING_SECONDS = 0.2


def prepare_data_dir(path: Path) -> None:
    """Make the data directory, readable by its owner only.

    Raises:
        UserError: it cannot be made, written or kept private.
    """
    advice = "choose another with --data-dir or TIDEGATE_HOME"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        (path / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot use the data directory {path}: {error.strerror}; {advice}") from (
            error
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to the data directory {path}; {advice}")


@contextmanager
def hold_data_dir(settings: Settings) -> Generator[None]:
    """Be the only platform on this data directory for as long as the context lasts.

    Raises:
        UserError: another one runs on it.
    """
    with hold_lock(settings.lock_file, partial(already_running, settings)):
        yield


@contextmanager
def hold_lock(lock_file: Path, taken: Callable[[int | None], UserError]) -> Generator[None]:
    """Hold the lock, with our process in it, for as long as the context lasts.

    Raises:
        UserError: `taken`, of the process that holds it.
    """
    with writing(lock_file):
        opened = lock_file.open("a+")
    with opened as lock:
        if not _take(lock):
            raise taken(lock_holder(lock_file))
        with writing(lock_file):
            # Past the buffer, which would try again when the file is closed.
            os.ftruncate(lock.fileno(), 0)
            os.pwrite(lock.fileno(), str(os.getpid()).encode(), 0)
        yield


def _take(lock: IO[str]) -> bool:
    """Whether the lock is ours; who only looks, as `lock_holder` does, has it for an instant."""
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


def check_restored(settings: Settings) -> None:
    """See that no restore was cut short in the middle.

    Raises:
        UserError: one was; parts of the data directory are older than others.
    """
    if settings.restoring_file.exists():
        raise UserError(
            f"a restore into {settings.data_dir} was cut short: run `tidegate restore --force`"
            " again"
        )


def already_running(settings: Settings, pid: int | None) -> UserError:
    """What to tell a user who starts a second platform on a data directory."""
    return UserError(
        f"a platform runs already on {settings.data_dir} (process {pid});"
        " stop it with `tidegate down`, or give this one its own --data-dir"
    )


def running_pid(settings: Settings) -> int | None:
    """The process that holds the data directory, None when no one does."""
    return lock_holder(settings.lock_file)


def lock_holder(lock_file: Path) -> int | None:
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


def check_ports(settings: Settings) -> None:
    """See that the ports of this process are free.

    The gateway's port is not among them: a gateway that goes on from before holds it.

    Raises:
        UserError: see `check_port`.
    """
    bind = settings.bind
    check_port(bind, settings.api_port, option="--api-port", purpose="Kubernetes API")
    check_port(bind, settings.console_port, option="--console-port", purpose="console")


def check_port(bind: str, port: int, *, option: str, purpose: str) -> None:
    """See that `port` is free.

    Raises:
        UserError: it is taken, may not be used, or `bind` is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            advice = {
                errno.EADDRINUSE: f"choose another with {option} (or --bind), or stop what uses it",
                errno.EACCES: f"choose one above 1023 with {option}, or ask for the right to it",
            }.get(error.errno or 0, "give an address of this machine with --bind")
            raise UserError(
                f"cannot listen on {bind}:{port} for the {purpose}: {error.strerror}; {advice}"
            ) from error
