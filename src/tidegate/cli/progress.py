"""A bar for what takes longer than a second; what is quick shows nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import Progress

from tidegate.cli.terminal import err

_QUICK_SECONDS = 1.0


@contextmanager
def progress(title: str) -> Generator[Callable[[int, int], None]]:
    """Gives what is to be called with the amount done and the whole amount."""
    started = time.monotonic()
    with Progress(
        console=err, transient=True, auto_refresh=False, disable=not err.is_terminal
    ) as bar:
        task = bar.add_task(title, visible=False)

        def report(done: int, total: int) -> None:
            if time.monotonic() - started >= _QUICK_SECONDS:
                bar.update(task, completed=done, total=total, visible=True, refresh=True)

        yield report
