"""The demand of several gateways as one, in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.autoscaling.support import REVISION, demand
from tests.support.virtual_clock import VirtualClock, settle
from tidegate.apis.demand import Demand, PodLoad
from tidegate.apis.demand_hub import DemandHub
from tidegate.autoscaling.gateways import SILENT_SECONDS, Gateways, total

loads = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)).map(
    lambda pods: tuple(PodLoad(name, count) for name, count in pods.items())
)
demands = st.builds(
    Demand,
    revision=st.just(REVISION),
    in_flight=st.integers(0, 50),
    queued=st.integers(0, 50),
    held=st.integers(0, 50),
    pods=loads,
    requests=st.integers(0, 1000),
    time=st.floats(0, 100),
)


@given(st.lists(demands, min_size=1, max_size=4))
def test_all_numbers_are_summed_pod_by_pod(items: list[Demand]) -> None:
    found = total(items, now=0.0)

    assert found is not None
    for name in ("in_flight", "queued", "held", "requests", "total"):
        assert getattr(found, name) == sum(getattr(item, name) for item in items)
    for name in "abc":
        expected = sum(load.in_flight for item in items for load in item.pods if load.name == name)
        assert sum(load.in_flight for load in found.pods if load.name == name) == expected
    assert len({load.name for load in found.pods}) == len(found.pods)


def test_of_the_sessions_of_a_pod_the_last_counts() -> None:
    first = demand(0, pods={"a": 0}, sessions={"a": 50.0})
    second = demand(0, pods={"a": 0}, sessions={"a": 70.0})
    found = total([first, second], now=0.0)
    assert found is not None
    assert found.pods == (PodLoad("a", 0, 70.0),)


def test_nobody_knows_nothing() -> None:
    assert total([], now=0.0) is None


async def test_the_last_word_on_a_revision_that_no_gateway_serves_any_more_is_told() -> None:
    hub = DemandHub("only")
    async with Gateways((hub,), VirtualClock()).subscribe() as heard:
        await settle()
        hub.publish(demand(1))
        assert (await anext(heard)).total == 1
        hub.forget(REVISION)
        assert (await asyncio.wait_for(anext(heard), 5)).total == 0


async def test_a_gateway_that_goes_silent_is_left_out_and_that_is_told() -> None:
    clock = VirtualClock()
    first, second = DemandHub("first"), DemandHub("second")
    gateways = Gateways((first, second), clock)
    told: list[Demand] = []

    async def listen() -> None:
        async with gateways.subscribe() as items:
            async for item in items:
                told.append(item)  # noqa: PERF401 - read while they still come

    listening = asyncio.create_task(listen())
    await settle()
    first.publish(demand(3, pods={"a": 3}, requests=10))
    second.publish(demand(2, held=2, requests=5))
    await settle()
    assert (told[-1].total, told[-1].held, told[-1].requests) == (5, 2, 15)

    for _ in range(int(SILENT_SECONDS) + 2):
        await clock.advance(1)
        first.publish(demand(3, pods={"a": 3}, requests=10, time=clock.monotonic()))
        await settle()
    assert (told[-1].total, told[-1].held, told[-1].requests) == (3, 0, 15)

    second.publish(demand(1, held=1, requests=6, time=clock.monotonic()))
    await settle()
    assert told[-1].total == 4
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_silence_alone_is_told() -> None:
    clock = VirtualClock()
    only = DemandHub("only")
    async with Gateways((only,), clock).subscribe() as items:
        only.publish(demand(2, held=2))
        assert (await anext(items)).total == 2
        waiting = asyncio.create_task(anext(items))
        await clock.advance(SILENT_SECONDS + 2)
        assert (await waiting).total == 0


def test_all_gateways_must_agree_even_silent_ones() -> None:
    gateways = Gateways((DemandHub("first"), DemandHub("second")), VirtualClock())
    assert gateways.gateways == {"first", "second"}
