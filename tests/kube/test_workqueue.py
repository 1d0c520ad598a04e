"""The work queue: no duplicates, no key in two workers, exact delays."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual_clock import VirtualClock, settle
from tidegate.kube.workqueue import WorkQueue


async def test_key_added_twice_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock())
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_key_added_while_in_work_waits_until_it_is_done() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock())
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_delayed_key_comes_at_its_time_and_not_before() -> None:
    clock = VirtualClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    async with asyncio.TaskGroup() as group:
        timers = group.create_task(queue.run_timers())
        await settle()
        queue.add_after("late", 5)
        queue.add_after("soon", 2)
        queue.add_after("late", 9)
        await clock.advance(1.999)
        assert len(queue) == 0
        await clock.advance(0.001)
        assert await queue.get() == "soon"
        await clock.advance(3)
        assert await queue.get() == "late"
        await clock.advance(10)
        assert len(queue) == 0
        timers.cancel()


async def test_earlier_delay_replaces_a_later_one() -> None:
    clock = VirtualClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    async with asyncio.TaskGroup() as group:
        timers = group.create_task(queue.run_timers())
        queue.add_after("a", 100)
        await clock.advance(1)
        queue.add_after("a", 1)
        await clock.advance(1)
        assert await queue.get() == "a"
        queue.done("a")
        await clock.advance(200)
        assert len(queue) == 0
        timers.cancel()


async def test_retries_back_off_exponentially_up_to_the_limit_and_start_over() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock(), base_delay=1, max_delay=8)
    assert [queue.retry("a") for _ in range(5)] == [1, 2, 4, 8, 8]
    queue.forget("a")
    assert queue.retry("a") == 1


async def test_get_can_be_cancelled_without_losing_a_key() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock())
    waiting = asyncio.create_task(queue.get())
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    queue.add("a")
    assert await queue.get() == "a"
