"""Waiting, in real time, for what has no event of its own."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

# A machine that is emulated is many times slower.
_PATIENCE = float(os.environ.get("TIDEGATE_TEST_PATIENCE", "1"))


async def eventually(
    check: Callable[[], Any | Awaitable[Any]], *, timeout: float = 30.0, pause: float = 0.005
) -> None:
    """Wait until `check` holds; it may be async. Raises TimeoutError."""
    async with asyncio.timeout(timeout * _PATIENCE):
        while not await _holds(check):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(pause)


def wait_until(check: Callable[[], Any], *, timeout: float = 60.0, pause: float = 0.01) -> None:
    """The same for tests without a loop. Raises TimeoutError."""
    end = time.monotonic() + timeout * _PATIENCE
    while not check():
        if time.monotonic() >= end:
            raise TimeoutError(f"it does not happen in {timeout:.0f} s")
        time.sleep(pause)


async def _holds(check: Callable[[], Any | Awaitable[Any]]) -> Any:
    result = check()
    return await result if inspect.isawaitable(result) else result
