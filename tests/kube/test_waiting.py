"""Tasks that belong together: they end together, and a failure is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual_clock import VirtualClock, settle
from tidegate.kube.errors import Conflict
from tidegate.kube.waiting import all_of, beside, together


async def test_all_bring_their_results_in_order() -> None:
    clock = VirtualClock()

    async def after(seconds: float) -> float:
        await clock.sleep(seconds)
        return seconds

    together = asyncio.create_task(all_of(after(2), after(1)))
    await clock.advance(2)
    assert together.result() == [2, 1]
    assert await all_of() == []


async def test_a_failure_is_told_when_nothing_goes_on_any_more() -> None:
    clock = VirtualClock()
    ended: list[str] = []

    async def fail() -> None:
        raise Conflict("changed")

    async def take_time() -> None:
        await clock.sleep(5)
        ended.append("slow")

    together = asyncio.create_task(all_of(fail(), take_time()))
    await clock.advance(4)
    assert not together.done()
    await clock.advance(1)
    with pytest.raises(Conflict):
        await together
    assert ended == ["slow"]


async def test_who_is_cancelled_takes_all_along() -> None:
    clock = VirtualClock()
    ended: list[str] = []

    async def take_time() -> None:
        try:
            await clock.sleep(5)
        finally:
            ended.append("cancelled")

    together = asyncio.create_task(all_of(take_time(), take_time()))
    await settle()
    together.cancel()
    with pytest.raises(asyncio.CancelledError):
        await together
    assert ended == ["cancelled", "cancelled"]


async def test_one_that_fails_ends_the_others_and_is_told_as_it_is() -> None:
    ended = asyncio.Event()

    async def fail() -> None:
        raise Conflict("changed")

    async def go_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(5):
        with pytest.raises(Conflict):
            await together(go_on(), fail())
    assert ended.is_set()


async def test_together_all_come_to_their_end() -> None:
    clock = VirtualClock()
    both = asyncio.create_task(together(clock.sleep(1), clock.sleep(2)))
    await clock.advance(1)
    assert not both.done()
    await clock.advance(1)
    assert both.done()


async def test_what_runs_beside_ends_with_the_context() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail_beside() -> None:
        async with beside(work()):
            await begun.wait()
            assert not ended.is_set()
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        await fail_beside()
    assert ended.is_set()


async def test_a_failure_beside_is_nobodys() -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise RuntimeError

    async with beside(work()):
        await failed.wait()
