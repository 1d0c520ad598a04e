"""containerConcurrency, as counted inside the pods."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.gateway.world import World


async def test_each_pod_has_its_limit_and_the_rest_waits_its_turn(world: World) -> None:
    pods = await world.service("sd", limit=2, pods=3)

    answers = await asyncio.gather(*(world.fetch("sd", "/work?ms=20") for _ in range(60)))

    assert [answer.status for answer in answers] == [200] * 60
    assert [pod.most for pod in pods] == [2, 2, 2]
    assert sum(len(pod.seen) for pod in pods) == 60


async def test_a_pod_that_comes_later_takes_from_the_same_queue(world: World) -> None:
    (first,) = await world.service("sd", limit=1)
    requests = [await world.send("sd", f"/hold?n={n}") for n in range(6)]
    await world.demand("sd-00001", queued=5, in_flight=1)

    second = await world.pod("sd-00001", "sd-late")
    second.released.set()
    await world.demand("sd-00001", queued=0)
    first.released.set()
    await asyncio.gather(*(request.answer() for request in requests))

    assert len(second.seen) == 5
    assert first.most == second.most == 1


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_queued_request_whose_client_left_reaches_no_pod(
    world: World, *, reset: bool
) -> None:
    (pod,) = await world.service("sd", limit=1)
    busy = await world.send("sd", "/hold?n=busy")
    await world.working(pod)
    gone = [await world.send("sd", f"/work?ms=10&n=gone{n}") for n in range(5)]
    stays = await world.send("sd", "/work?ms=10&n=stays")
    await world.demand("sd-00001", in_flight=1, queued=6)

    for request in gone:
        request.leave(reset=reset)
    await world.demand("sd-00001", in_flight=1, queued=1)
    pod.released.set()

    assert (await busy.answer()).status == 200
    assert (await stays.answer()).status == 200
    assert pod.seen == ["/hold?n=busy", "/work?ms=10&n=stays"]


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_request_in_flight_keeps_its_place_when_its_client_leaves(
    world: World, *, reset: bool
) -> None:
    (pod,) = await world.service("sd", limit=1)
    gone = await world.send("sd", "/hold?n=gone")
    await world.working(pod)

    gone.leave(reset=reset)
    later = [await world.send("sd", f"/work?ms=5&n={n}") for n in range(4)]
    await world.demand("sd-00001", total=5)
    assert len(pod.seen) == 1
    pod.released.set()
    answers = await asyncio.gather(*(request.answer() for request in later))

    assert [answer.status for answer in answers] == [200] * 4
    assert pod.most == 1
    assert len(pod.seen) == 5


async def test_an_idle_pod_takes_what_would_wait_behind_a_request_without_a_client(
    world: World,
) -> None:
    first, second = await world.service("sd", limit=1, pods=2)
    gone = await world.send("sd", "/hold?n=gone")
    await world.demand("sd-00001", in_flight=1)
    gone.leave(reset=True)

    answers = await asyncio.gather(*(world.fetch("sd", "/work?ms=5") for _ in range(10)))

    assert [answer.status for answer in answers] == [200] * 10
    assert first.active + second.active == 1
    assert first.most == second.most == 1


async def test_clients_that_come_and_go_at_random_never_make_two_in_a_pod(world: World) -> None:
    pods = await world.service("sd", limit=1, pods=3)
    chance = random.Random(20)

    async def one(number: int) -> int:
        request = await world.send("sd", f"/work?ms={chance.randint(1, 20)}&n={number}")
        if chance.random() < 0.4:
            await asyncio.sleep(chance.random() * 0.05)
            request.leave(reset=chance.random() < 0.5)
            return 0
        return (await request.answer()).status

    for _ in range(5):
        statuses = await asyncio.gather(*(one(number) for number in range(60)))
        assert set(statuses) <= {0, 200}

    assert [pod.most for pod in pods] == [1, 1, 1]
    targets = [target for pod in pods for target in pod.seen]
    assert len(targets) <= 300
    await world.demand("sd-00001", in_flight=0, queued=0, held=0)
    assert (await world.fetch("sd")).status == 200


async def test_a_pod_that_died_loses_no_request_but_its_own(world: World) -> None:
    first, second = await world.service("sd", limit=1, pods=2)
    first.die()

    answers = await asyncio.gather(*(world.fetch("sd", "/work?ms=5") for _ in range(10)))

    assert [answer.status for answer in answers] == [200] * 10
    assert len(second.seen) == 10
