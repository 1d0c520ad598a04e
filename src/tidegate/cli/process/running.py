"""What every process of ours that stays has: descriptors, a log, and an end by a signal."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from logging.handlers import RotatingFileHandler
from pathlib import Path

from tidegate.cli.terminal import err, first

_LOG_BYTES = 20 * 1024 * 1024
_LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure_logging(log_file: Path) -> None:
    """Log to the terminal if stderr is one, else to the file."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = logging.StreamHandler()
    else:
        handler = RotatingFileHandler(log_file, maxBytes=_LOG_BYTES, backupCount=2)
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    root.addHandler(handler)
    for noisy in ("httpx", "httpcore", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def use_all_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: each watch and connection takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def until_signalled(
    work: Coroutine[object, object, None], *, stop: Callable[[asyncio.Event], Awaitable[None]]
) -> None:
    """Run until SIGTERM or SIGINT; the latter is to `stop` also what would outlive the work.

    Args:
        stop: is given what a second SIGINT sets: from then on it is to wait for nothing.

    Raises:
        Exception: the first that the work has raised, out of whatever group.
    """
    task = asyncio.ensure_future(work)
    received: list[signal.Signals] = []
    at_once = asyncio.Event()

    def end(number: signal.Signals) -> None:
        if number == signal.SIGINT:
            if number in received:
                at_once.set()
            else:
                err.print("stopping; press Ctrl-C again to stop at once")
        if not received:
            task.cancel()
        received.append(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    except BaseExceptionGroup as group:
        raise first(group) from group
    if signal.SIGINT in received:
        await stop(at_once)
