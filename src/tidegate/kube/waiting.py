"""Waits for whichever comes first, on a clock that tests can turn, and for all.

And lets one thing run only as long as another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tidegate.kube.clock import Clock

T = TypeVar("T")


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


async def all_of(*works: Coroutine[Any, Any, T]) -> list[T]:
    """What all have brought, in their order.

    Raises what the first of them raised, when all have ended: nothing that a caller has given up
    goes on behind its back.
    """
    brought: list[T] = []
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        brought.append(result)
    return brought


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let `work` run while the context is open; what becomes of it does not matter."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
