"""Waiting for several things at once: for the first, for all, within a time, or beside other work.

No task that is begun here outlives the call or the context that began it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from tidegate.kube.clock import Clock

T = TypeVar("T")


async def first_of(*waits: Coroutine[Any, Any, Any]) -> int:
    """The index of the wait that ended first; the others are cancelled. Raises what it raised."""
    async with _running(waits) as tasks:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winner = next(index for index, task in enumerate(tasks) if task.done())
        tasks[winner].result()
        return winner


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


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run all to their end. The first failure ends the others, and is raised as it is."""
    async with _running(works) as tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let `work` run while the context is open; what becomes of it does not matter."""
    async with _running((work,)):
        yield


@asynccontextmanager
async def _running(
    works: Sequence[Coroutine[Any, Any, T]],
) -> AsyncGenerator[list[asyncio.Task[T]]]:
    """All as tasks, none of which outlives the context."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
