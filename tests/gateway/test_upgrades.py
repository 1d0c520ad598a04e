"""Several changes of the configuration, one after the other, while pods work for the first."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.gateway.changes import upgrade
from tests.gateway.clients import Request
from tests.gateway.pods import CountingPod
from tests.gateway.world import World
from tidegate.gateway.handover import Predecessor
from tidegate.gateway.haproxy.process import Process


async def _at_work(world: World) -> tuple[CountingPod, Request]:
    """The one pod of a service that may have one request at once, and the request it has."""
    (pod,) = await world.service("sd", limit=1)
    request = await world.send("sd", "/hold")
    await world.working(pod)
    return pod, request


async def _gets_nothing_until_it_is_done(world: World, pod: CountingPod) -> None:
    waiting = await world.send("sd", "/waiting")
    await world.demand("sd-00001", total=1, in_flight=0)
    assert pod.seen == ["/hold"]
    pod.released.set()
    assert (await waiting.answer()).status == 200
    assert pod.seen == ["/hold", "/waiting"]
    assert pod.most == 1


async def _nothing_is_left(world: World) -> None:
    directory = world.gateway._plane.paths.directory
    await world.api.eventually(lambda: not world.gateway._plane.before)
    assert list(directory.glob("leaving*")) == []
    assert len(list(directory.glob("admin-*.sock"))) == 1


@pytest.mark.parametrize("agent_dies", [False, True])
async def test_a_pod_at_work_for_the_first_of_four_gets_nothing_from_the_last(
    world: World, agent_dies: bool
) -> None:
    pod, busy = await _at_work(world)

    for _ in range(3):
        await upgrade(world)
    if agent_dies:
        await world.end_agent()
        await world.start()

    await _gets_nothing_until_it_is_done(world, pod)
    assert (await busy.answer()).status == 200
    await _nothing_is_left(world)


async def test_pods_at_work_for_each_of_several_are_known(world: World) -> None:
    pods = await world.service("sd", limit=1, pods=3)
    busy = []
    for number in range(3):
        busy.append(await world.send("sd", f"/hold?n={number}"))
        await world.demand("sd-00001", in_flight=1)
        await upgrade(world)
    await world.end_agent()
    await world.start()
    assert sorted(len(pod.seen) for pod in pods) == [1, 1, 1]
    assert len(world.gateway._plane.before) == 3

    waiting = [await world.send("sd", f"/waiting?n={number}") for number in range(3)]
    await world.demand("sd-00001", total=3, in_flight=0)
    for pod in pods:
        pod.released.set()

    answers = [await request.answer() for request in (*busy, *waiting)]
    assert {answer.status for answer in answers} == {200}
    assert [pod.most for pod in pods] == [1, 1, 1]
    await _nothing_is_left(world)


async def test_what_is_changed_and_changed_back_has_two_of_the_same_configuration(
    world: World,
) -> None:
    first = world.settings
    pod, busy = await _at_work(world)
    await upgrade(world)
    second = world.settings

    for settings in (first, second, first):
        await upgrade(world, settings)
    adopted = world.gateway._plane.process.pid
    await world.end_agent()
    await world.start()

    assert world.gateway._plane.process.pid == adopted
    await _gets_nothing_until_it_is_done(world, pod)
    assert (await busy.answer()).status == 200
    await _nothing_is_left(world)


@pytest.mark.parametrize("agent_is_there", [False, True])
async def test_a_pod_that_works_for_one_killed_two_changes_later_is_left_alone(
    world: World, agent_is_there: bool
) -> None:
    pod, _ = await _at_work(world)
    first = await upgrade(world)
    await upgrade(world)

    if not agent_is_there:
        await world.end_agent()
    os.kill(first, signal.SIGKILL)
    if not agent_is_there:
        await world.start()
    await _nothing_is_left(world)

    await _gets_nothing_until_it_is_done(world, pod)


@pytest.mark.parametrize("agent_is_there", [False, True])
async def test_the_last_one_is_killed_while_the_first_is_leaving(
    world: World, agent_is_there: bool
) -> None:
    pod, busy = await _at_work(world)
    await upgrade(world)
    await upgrade(world)
    killed = world.gateway._plane.process.pid

    if not agent_is_there:
        await world.end_agent()
    os.kill(killed, signal.SIGKILL)
    early = await world.send("sd", "/early")
    if not agent_is_there:
        await world.start()
    await world.api.eventually(lambda: world.gateway._plane.process.pid not in (0, killed))

    await world.demand("sd-00001", total=1, in_flight=0)
    assert pod.seen == ["/hold"]
    pod.released.set()
    assert (await early.answer()).status == 200
    assert (await busy.answer()).status == 200
    assert pod.most == 1
    await _nothing_is_left(world)


async def test_requests_that_wait_go_on_from_each_to_the_next(world: World) -> None:
    await world.revision("cold-00001", limit=1)
    await world.route("cold", {"cold-00001": 100})
    held = []
    for number in range(3):
        held.append(await world.send("cold", f"/work?n={number}"))
        await world.demand("cold-00001", held=number + 1)
        await upgrade(world)
    await world.demand("cold-00001", held=3)

    await world.pod("cold-00001", "cold-a")

    assert {(await request.answer()).status for request in held} == {200}
    await _nothing_is_left(world)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("way", ["held", "kept"])
async def test_who_leaves_when_the_request_has_gone_on_is_noticed(
    world: World, reset: bool, way: str
) -> None:
    """Whether it was held by the first, or came later on a connection that the first has."""
    (warm,) = await world.service("warm", limit=1)
    await world.revision("cold-00001", limit=1)
    await world.route("cold", {"cold-00001": 100})
    gone = [await world.send("warm" if way == "kept" else "cold") for _ in range(20)]
    if way == "kept":
        for request in gone:
            assert (await request.kept()).status == 200
        # As long as there is work for it, the first keeps the connections open.
        busy = await world.send("warm", "/hold")
        await world.working(warm)
    else:
        await world.demand("cold-00001", held=20)
    await upgrade(world)
    if way == "kept":
        for request in gone:
            request.again("cold.default.localhost", "/gone")
    await world.demand("cold-00001", held=20)

    for request in gone:
        request.leave(reset=reset)
    await world.demand("cold-00001", held=0)

    pod = await world.pod("cold-00001", "cold-a")
    assert (await world.fetch("cold", "/stays")).status == 200
    assert pod.seen == ["/stays"]
    warm.released.set()
    if way == "kept":
        assert (await busy.answer()).status == 200


async def _die_in(world: World, monkeypatch: pytest.MonkeyPatch, where: Any, name: str) -> None:
    """Start an agent with another configuration that dies when it comes to this step."""
    reached = asyncio.Event()

    async def step(*_: Any, **__: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    await world.end_agent()
    world.settings = replace(world.settings, hold_seconds=world.settings.hold_seconds + 1)
    with monkeypatch.context() as patch:
        patch.setattr(where, name, step)
        starting = asyncio.create_task(world.start())
        await reached.wait()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await world.end_agent()


@pytest.mark.parametrize(
    ("where", "name"), [(Process, "start"), (Predecessor, "hand_over")], ids=["start", "handover"]
)
@pytest.mark.parametrize("then", ["back", "again", "onward"])
async def test_an_agent_that_dies_in_the_middle_of_a_change_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, then: str
) -> None:
    first = world.settings
    pod, busy = await _at_work(world)

    await _die_in(world, monkeypatch, where, name)
    if then == "back":
        world.settings = first
    elif then == "onward":
        world.settings = replace(first, hold_seconds=first.hold_seconds + 7)
    await world.start()

    assert not any([await before.is_serving() for before in world.gateway._plane.before])
    await _gets_nothing_until_it_is_done(world, pod)
    assert (await busy.answer()).status == 200
    await _nothing_is_left(world)
