"""A gateway with another configuration takes over from the one that runs; nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
from collections.abc import AsyncIterator

import pytest

from tests.gateway.changes import annotate, is_drained, upgrade
from tests.gateway.clients import fetch
from tests.gateway.pods import CountingPod
from tests.gateway.world import NAMESPACE, World
from tidegate.gateway.haproxy.config import Config
from tidegate.kube.objects import Key


async def _pod_at_work(world: World) -> CountingPod:
    """The pod of a service, which takes one request at once and has one."""
    (pod,) = await world.service("sd", limit=1)
    await world.send("sd", "/hold")
    await world.working(pod)
    return pod


async def _nothing_comes_to(pod: CountingPod, world: World) -> None:
    """A further request waits until the pod has done with what it has."""
    waiting = await world.send("sd", "/waiting")
    await world.demand("sd-00001", total=1)
    assert pod.seen == ["/hold"]
    pod.released.set()
    assert (await waiting.answer()).status == 200
    assert pod.most == 1


@contextlib.asynccontextmanager
async def _clients(world: World, number: int) -> AsyncIterator[list[int]]:
    """Clients that open a connection per request, one after the other, until the end."""
    statuses: list[int] = []
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            answer = await fetch(world.port, "sd.default.localhost", "/work?ms=1")
            statuses.append(answer.status)

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(ask())
        yield statuses
        is_over.set()


async def test_what_pods_work_on_ends_and_what_waits_goes_on_elsewhere(world: World) -> None:
    pods = await world.service("sd", limit=1, pods=2)
    await world.revision("cold-00001", limit=1)
    await world.route("cold", {"cold-00001": 100})
    busy = [await world.send("sd", f"/hold?n={n}") for n in range(2)]
    await world.working(*pods)
    queued = [await world.send("sd", f"/queued?n={n}") for n in range(5)]
    held = [await world.send("cold") for _ in range(3)]
    await world.demand("sd-00001", in_flight=2, queued=5)
    await world.demand("cold-00001", held=3)

    await upgrade(world)

    # The new process has what waited, and gives the pods nothing while they work for the old one.
    await world.demand("cold-00001", held=3)
    await world.demand("sd-00001", total=5, in_flight=0)
    assert sum(len(pod.seen) for pod in pods) == 2
    pods[0].released.set()
    assert {(await request.answer()).status for request in queued} == {200}
    assert len(pods[1].seen) == 1
    pods[1].released.set()
    assert {(await request.answer()).status for request in busy} == {200}
    await world.pod("cold-00001", "cold-a")
    assert {(await request.answer()).status for request in held} == {200}
    assert [pod.most for pod in pods] == [1, 1]


async def test_the_old_one_keeps_to_the_time_limits_too(world: World) -> None:
    await world.revision("sd-00001", limit=1, timeoutSeconds=2)
    pod = await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})
    await world.in_rotation("sd-00001", 1)
    streaming = await world.send("sd", "/stream?chunks=1&ms=3000")
    await world.working(pod)
    late_pod = await world.pod("sd-00001", "sd-b")
    await world.in_rotation("sd-00001", 2)
    late = await world.send("sd", "/hold")
    await world.working(pod, late_pod)

    await upgrade(world)

    answer = await late.answer()
    assert answer.status == 504
    assert "time limit" in answer.json()["message"]
    assert (await streaming.answer()).body == b"data"
    late_pod.released.set()


async def test_no_client_finds_the_door_shut(world: World) -> None:
    pods = await world.service("sd", limit=2, pods=2)

    async with _clients(world, 4) as statuses:
        await world.api.eventually(lambda: len(statuses) > 50)
        await upgrade(world)
        reached = len(statuses)
        await world.api.eventually(lambda: len(statuses) > reached + 50)

    assert set(statuses) == {200}
    assert max(pod.most for pod in pods) <= 2


async def test_a_connection_that_stays_open_is_served_and_told_to_come_anew(world: World) -> None:
    (pod,) = await world.service("sd")
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)

    async def ask() -> tuple[str, dict[str, str]]:
        writer.write(b"GET /headers HTTP/1.1\r\nHost: sd.default.localhost\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        return head, json.loads(await reader.readexactly(length))["headers"]

    head, _ = await ask()
    assert "connection: close" not in head
    stream = await world.send("sd", "/hold")
    await world.working(pod)
    old = os.pidfd_open(await upgrade(world))

    head, seen = await ask()
    assert "connection: close" in head
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["forwarded"].count("for=") == 1
    assert len(world.gateway._plane.before) == 1

    pod.released.set()
    assert (await stream.answer()).status == 200
    writer.close()
    await world.api.eventually(lambda: bool(select.select([old], [], [], 0)[0]))
    os.close(old)
    assert not world.gateway._plane.before


async def test_a_control_plane_that_dies_in_between_knows_both(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    busy = await world.send("sd", "/hold")
    await world.working(pod)
    await upgrade(world)
    waiting = await world.send("sd", "/waiting")
    await world.demand("sd-00001", total=1)
    await world.end_agent()

    await world.start()

    assert len(world.gateway._plane.before) == 1
    await world.demand("sd-00001", total=1, in_flight=0)
    assert pod.seen == ["/hold"]
    pod.released.set()
    assert (await busy.answer()).status == 200
    assert (await waiting.answer()).status == 200
    assert pod.most == 1


@pytest.mark.parametrize("agent_is_there", [True, False])
async def test_a_pod_that_works_for_one_killed_after_it_handed_over_is_left_alone(
    world: World, agent_is_there: bool
) -> None:
    pod = await _pod_at_work(world)
    old = await upgrade(world)

    if not agent_is_there:
        await world.end_agent()
    os.kill(old, signal.SIGKILL)
    if not agent_is_there:
        await world.start()
    await world.api.eventually(lambda: not world.gateway._plane.before)
    await _nothing_comes_to(pod, world)


async def test_a_pod_that_works_for_one_killed_before_the_handover_is_left_alone(
    world: World,
) -> None:
    pod = await _pod_at_work(world)
    killed = world.gateway._plane.process.pid
    os.kill(killed, signal.SIGKILL)
    await world.api.eventually(lambda: world.gateway._plane.process.pid not in (0, killed))

    await upgrade(world)
    await _nothing_comes_to(pod, world)


async def test_a_pod_at_work_for_the_one_before_is_not_drained(world: World) -> None:
    (pod,) = await world.service("sd")
    busy = await world.send("sd", "/hold")
    await world.working(pod)
    await upgrade(world)
    await world.in_rotation("sd-00001", 1)

    await annotate(world, pod.name, {"tidegate.dev/drain": "true"})
    await world.in_rotation("sd-00001", 0)
    assert await world.gateway._plane.pod_in_flight(Key(NAMESPACE, "sd-00001"), pod.name) == 1
    assert not await is_drained(world, pod.name)

    pod.released.set()
    assert (await busy.answer()).status == 200
    await world.api.eventually(lambda: is_drained(world, pod.name))


async def test_one_that_cannot_hand_over_is_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.service("sd", limit=1)
    monkeypatch.setattr(Config, "can_hand_over", False)

    await upgrade(world)

    assert not world.gateway._plane.before
    assert (await world.fetch("sd")).status == 200
