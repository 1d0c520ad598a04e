"""What every process of ours that stays has: descriptors, a log, and an end by a signal."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
from collections.abc import Coroutine
from logging.handlers import RotatingFileHandler
from pathlib import Path

from tidegate.cli.terminal import first

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


async def until_signalled(work: Coroutine[object, object, None]) -> signal.Signals | None:
    """Run until SIGTERM or SIGINT, and say which; None where the work has ended by itself.

    Raises:
        Exception: the first that the work has raised, out of whatever group.
    """
    task = asyncio.ensure_future(work)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    except BaseExceptionGroup as group:
        raise first(group) from group
    return received[-1] if received else None
