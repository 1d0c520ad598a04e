"""Clients that leave while they are held: their requests reach no pod."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.gateway.clients import Request
from tests.gateway.pods import CountingPod
from tests.gateway.world import World


async def _served_from_zero(world: World, *, limit: int) -> CountingPod:
    """A pod that has served held requests, and takes none any more."""
    await world.revision("sd-00001", limit=limit)
    await world.route("sd", {"sd-00001": 100})
    first = [await world.send("sd", f"/work?n=first-{n}") for n in range(4)]
    await world.demand("sd-00001", held=4)
    pod = await world.pod("sd-00001", "sd-a")
    assert [(await request.answer()).status for request in first] == [200] * 4
    await world.endpoint("sd-00001", pod, ready=False)
    await world.in_rotation("sd-00001", 0)
    pod.seen.clear()
    return pod


async def _hold(world: World, number: int, name: str) -> list[Request]:
    return list(
        await asyncio.gather(*(world.send("sd", f"/work?n={name}-{n}") for n in range(number)))
    )


@pytest.mark.parametrize("limit", [0, 4])
@pytest.mark.parametrize("reset", [False, True])
async def test_all_who_leave_while_they_are_held_are_noticed(
    world: World, limit: int, reset: bool
) -> None:
    pod = await _served_from_zero(world, limit=limit)
    gone = await _hold(world, 60, "gone")
    await world.demand("sd-00001", held=60)
    stay = await _hold(world, 20, "stays")
    await world.demand("sd-00001", held=80)

    for request in gone:
        request.leave(reset=reset)
    await world.demand("sd-00001", held=20)
    await world.endpoint("sd-00001", pod)

    assert [(await request.answer()).status for request in stay] == [200] * 20
    assert sorted(pod.seen) == sorted(f"/work?n=stays-{n}" for n in range(20))


async def test_who_leaves_on_the_way_into_the_park_is_noticed(world: World) -> None:
    """While HAProxy still connects to the park; some of many clients meet that moment."""
    pod = await _served_from_zero(world, limit=4)

    async def come_and_go(number: int) -> None:
        request = await world.send("sd", f"/work?n=gone-{number}")
        await asyncio.sleep(number * 0.0001)
        request.leave(reset=False)

    for _ in range(10):
        await asyncio.gather(*(come_and_go(number) for number in range(40)))
    stays = await world.send("sd", "/work?n=stays")
    await world.demand("sd-00001", held=1)
    await world.endpoint("sd-00001", pod)

    assert (await stays.answer()).status == 200
    assert pod.seen == ["/work?n=stays"]


@pytest.mark.parametrize("reset", [False, True])
async def test_who_leaves_between_the_park_and_a_pod_is_noticed(world: World, reset: bool) -> None:
    """Let go by the park, and queued for the one pod, which is busy with the first of them."""
    pod = await _served_from_zero(world, limit=1)
    first = await world.send("sd", "/hold")
    await world.demand("sd-00001", held=1)
    gone = await _hold(world, 30, "gone")
    await world.demand("sd-00001", held=31)
    await world.endpoint("sd-00001", pod)
    await world.demand("sd-00001", in_flight=1, queued=30, held=0)

    for request in gone:
        request.leave(reset=reset)
    await world.demand("sd-00001", queued=0)
    pod.released.set()

    assert (await first.answer()).status == 200
    assert pod.seen == ["/hold"]


@pytest.mark.parametrize("limit", [0, 4])
@pytest.mark.parametrize("reset", [False, True])
async def test_who_left_before_haproxy_could_look_is_noticed_before_the_first_pod_is_given_away(
    world: World, limit: int, reset: bool
) -> None:
    """The leaving and the pod wait for HAProxy together, as they may on a busy machine."""
    pod = await _served_from_zero(world, limit=limit)
    gone, stay = await _hold(world, 100, "gone"), []
    await world.demand("sd-00001", held=100)
    for turn in range(4):
        stay += await _hold(world, 25, f"stays-{turn}")
        gone += await _hold(world, 25, f"gone-{turn}")
    await world.demand("sd-00001", held=300)

    proxy = world.gateway._plane.process.pid
    os.kill(proxy, signal.SIGSTOP)
    try:
        await world.endpoint("sd-00001", pod)
        # The agent sends its command meanwhile; a slower one would only make the test easier.
        await asyncio.sleep(0.3)
        for request in gone:
            request.leave(reset=reset)
        # Sockets are closed in the loop's next turn.
        await asyncio.sleep(0.01)
    finally:
        os.kill(proxy, signal.SIGCONT)

    assert [(await request.answer()).status for request in stay] == [200] * 100
    assert not [target for target in pod.seen if "gone" in target]
