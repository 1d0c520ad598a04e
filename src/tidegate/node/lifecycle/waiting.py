"""Waits that end early, on the node's clock."""

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


class BackOff:
    """Kubernetes' restart delays: none, then 10 s doubling up to 5 min; forgotten when it ran well.

    Args:
        free: how many tries are not delayed at all.
    """

    def __init__(
        self, *, free: int, base: float = 10.0, limit: float = 300.0, reset: float = 600.0
    ) -> None:
        self._free = free
        self._base = base
        self._limit = limit
        self._reset = reset
        self._tries = 0

    def next_delay(self, *, ran: float = 0.0) -> float:
        """Seconds to wait before the next try, after one that ran for `ran` seconds."""
        if ran >= self._reset:
            self._tries = 0
        self._tries += 1
        if self._tries <= self._free:
            return 0.0
        return min(self._base * 2.0 ** min(self._tries - self._free - 1, 16), self._limit)
