"""Waits for whichever comes first, on a clock that tests can turn."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tidegate.kube.clock import Clock


async def first_of(*waits: Coroutine[Any, Any, Any]) -> int:
    """The index of the wait that ended first; the others are cancelled. Raises what it raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = next(index for index, task in enumerate(tasks) if task.done())
        tasks[winner].result()
        return winner
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def within(seconds: float, wait: Coroutine[Any, Any, Any], *, clock: Clock) -> bool:
    """Whether `wait` ended within `seconds`; cancelled otherwise."""
    return await first_of(wait, clock.sleep(max(0.0, seconds))) == 0
