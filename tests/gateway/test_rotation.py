"""Pods that go: out of rotation, drained, gone; and the queue when the last one goes."""

from __future__ import annotations

import asyncio

from tests.gateway.changes import annotate, is_drained
from tests.gateway.world import World
from tidegate.kube.resources import PODS


async def test_a_pod_that_is_not_ready_gets_nothing_new_and_finishes_what_it_has(
    world: World,
) -> None:
    first, second = await world.service("sd", limit=1, pods=2)
    requests = [await world.send("sd", "/hold") for _ in range(2)]
    await world.working(first, second)

    await world.endpoint("sd-00001", first, ready=False)
    await world.in_rotation("sd-00001", 1)
    second.released.set()
    answers = await asyncio.gather(*(world.fetch("sd", "/work?ms=1") for _ in range(5)))

    assert {answer.pod for answer in answers} == {second.name}
    first.released.set()
    assert {(await request.answer()).status for request in requests} == {200}
    assert len(first.seen) == 1


async def test_the_queue_survives_the_last_pod_and_goes_on_with_the_next(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    requests = [await world.send("sd", "/hold")]
    await world.working(pod)
    requests += [await world.send("sd", f"/work?ms=10&n={n}") for n in range(7)]
    await world.demand("sd-00001", in_flight=1, queued=7)

    await world.endpoint("sd-00001", pod, gone=True)
    await world.in_rotation("sd-00001", 0)
    requests.append(await world.send("sd", "/work?ms=1&n=late"))
    pod.released.set()
    await world.demand("sd-00001", in_flight=0, total=8)
    again = await world.pod("sd-00001", "sd-again")
    answers = await asyncio.gather(*(request.answer() for request in requests))

    assert [answer.status for answer in answers] == [200] * 9
    assert len(pod.seen) == 1
    assert again.most == 1


async def test_a_pod_that_comes_back_wakes_what_is_held(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    await world.endpoint("sd-00001", pod, ready=False)
    await world.in_rotation("sd-00001", 0)
    request = await world.send("sd")
    await world.demand("sd-00001", held=1)

    await world.endpoint("sd-00001", pod, ready=True)

    assert (await request.answer()).pod == pod.name


async def test_drained_is_said_when_nothing_is_in_flight(world: World) -> None:
    first, second = await world.service("sd", limit=1, pods=2)
    requests = [await world.send("sd", "/hold") for _ in range(2)]
    await world.working(first, second)

    await annotate(world, first.name, {"tidegate.dev/drain": "true"})
    await world.in_rotation("sd-00001", 1)
    requests.append(await world.send("sd", "/work?ms=1"))
    second.released.set()
    assert (await requests[-1].answer()).pod == second.name
    assert not await is_drained(world, first.name)
    first.released.set()
    assert {(await request.answer()).status for request in requests[:2]} == {200}
    await world.api.eventually(lambda: is_drained(world, first.name))
    assert len(first.seen) == 1
    assert len(second.seen) == 2

    await annotate(world, first.name, {"tidegate.dev/drain": None, "tidegate.dev/drained": None})
    await world.in_rotation("sd-00001", 2)


async def test_a_drain_waits_for_requests_whose_clients_have_left(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    request = await world.send("sd", "/hold")
    await world.working(pod)
    request.leave(reset=True)

    await annotate(world, pod.name, {"tidegate.dev/drain": "true"})
    await world.in_rotation("sd-00001", 0)
    assert not await is_drained(world, pod.name)
    pod.released.set()
    await world.api.eventually(lambda: is_drained(world, pod.name))

    assert pod.active == 0


async def test_servers_of_pods_that_are_gone_are_deleted(world: World) -> None:
    first, second = await world.service("sd", limit=1, pods=2)
    await world.endpoint("sd-00001", first, gone=True)

    def check() -> bool:
        servers = world.gateway._plane.servers
        names = [name for proxy in servers.values() for name in proxy]
        return sorted(names) == [second.name, f"l0001:{second.name}"][::-1]

    await world.api.eventually(check)
    assert (await world.fetch("sd")).pod == second.name


async def test_a_pod_that_is_deleted_gets_nothing_new_though_its_slice_still_says_ready(
    world: World,
) -> None:
    first, second = await world.service("sd", limit=1, pods=2)
    keep = {"metadata": {"finalizers": ["example.com/keep"]}}
    await world.client.patch(PODS, first.name, keep, namespace="default")

    await world.client.delete(PODS, first.name, namespace="default")

    await world.in_rotation("sd-00001", 1)
    answers = [await world.fetch("sd") for _ in range(4)]
    assert {answer.pod for answer in answers} == {second.name}
