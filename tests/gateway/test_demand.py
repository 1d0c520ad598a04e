"""Demand: told at once, counted right, and no more than the latest for a slow reader."""

from __future__ import annotations

import asyncio
import statistics
import time

from tests.gateway.world import World
from tidegate.apis.demand import Demand
from tidegate.apis.demand_hub import DemandHub
from tidegate.kube.objects import Key

SD = Key("default", "sd-00001")


def demand(revision: Key, queued: int) -> Demand:
    return Demand(revision, 0, queued, 0, (), 0, 0.0)


async def test_a_slow_reader_gets_the_latest_of_each_revision() -> None:
    hub = DemandHub("gateway")
    other = Key("default", "other")
    async with hub.subscribe() as demands:
        for queued in range(5):
            hub.publish(demand(SD, queued))
        hub.publish(demand(other, 7))
        got = [await anext(demands), await anext(demands)]
    assert [(item.revision, item.queued) for item in got] == [(SD, 4), (other, 7)]
    assert hub.snapshot(SD) == demand(SD, 4)


async def test_a_reader_that_comes_later_hears_of_what_is_known() -> None:
    hub = DemandHub("gateway")
    hub.publish(demand(SD, 3))
    async with hub.subscribe() as demands:
        assert (await anext(demands)).queued == 3


async def test_a_revision_that_is_forgotten_is_said_to_have_no_demand() -> None:
    hub = DemandHub("gateway")
    async with hub.subscribe() as demands:
        hub.publish(demand(SD, 3))
        assert (await anext(demands)).total == 3
        hub.forget(SD)
        assert (await anext(demands)).total == 0
    assert hub.snapshot(SD) is None


async def test_who_waits_is_heard_of_within_milliseconds(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    delays: list[float] = []
    async with world.gateway.demand.subscribe() as demands:
        for _ in range(5):
            pod.released.clear()
            busy = await world.send("sd", "/hold")
            await world.working(pod)
            waits = await world.send("sd", "/work?ms=1")
            start = time.monotonic()
            while (await anext(demands)).queued == 0:
                pass
            delays.append(time.monotonic() - start)
            pod.released.set()
            await asyncio.gather(busy.answer(), waits.answer())
            while (await anext(demands)).total:
                pass
    assert statistics.median(delays) < 0.1


async def test_requests_are_counted_over_a_restart_of_the_proxy(world: World) -> None:
    await world.service("sd", limit=1)
    for _ in range(3):
        await world.fetch("sd")
    await world.demand("sd-00001", requests=3)
    held = await world.send("sd", "/work?ms=30")
    await held.answer()
    await world.demand("sd-00001", requests=4, in_flight=0, queued=0)


async def test_a_revision_that_is_gone_has_no_demand(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    await world.service("other", limit=1)
    await world.route("sd", {"other-00001": 100})
    await world.api.eventually(lambda: world.gateway.demand.snapshot(SD) is None)
    assert (await world.fetch("sd")).pod == "other-a"
    assert pod.seen == []
