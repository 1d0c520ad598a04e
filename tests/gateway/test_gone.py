"""Revisions that are deleted while requests wait for them."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.world import NAMESPACE, World
from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.apis.serving import REVISIONS
from tidegate.kube.objects import Key

SD = Key(NAMESPACE, "sd-00001")


async def _delete_service(world: World) -> None:
    await world.client.delete(KINGRESSES, "sd", namespace=NAMESPACE)
    await world.client.delete(REVISIONS, SD.name, namespace=NAMESPACE)


@pytest.mark.parametrize("limit", [0, 1])
async def test_who_is_held_for_a_deleted_service_is_told_at_once(world: World, limit: int) -> None:
    await world.revision(SD.name, limit=limit)
    await world.route("sd", {SD.name: 100})
    requests = [await world.send("sd") for _ in range(3)]
    await world.demand(SD.name, held=3)

    await _delete_service(world)
    answers = await asyncio.gather(*(request.answer() for request in requests))

    assert [answer.status for answer in answers] == [404] * 3
    assert answers[0].json()["message"] == "revision default/sd-00001 does not exist any more"
    await world.api.eventually(lambda: world.gateway._plane.slots.of(SD) is None)


async def test_who_is_queued_for_a_deleted_service_is_told_and_work_goes_on(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    busy = await world.send("sd", "/hold")
    await world.working(pod)
    queued = [await world.send("sd", f"/queued?n={n}") for n in range(3)]
    await world.demand(SD.name, queued=3)

    await _delete_service(world)
    answers = await asyncio.gather(*(request.answer() for request in queued))
    pod.released.set()

    assert [answer.status for answer in answers] == [404] * 3
    assert (await busy.answer()).status == 200
    assert pod.seen == ["/hold"]
    await world.api.eventually(lambda: world.gateway._plane.slots.of(SD) is None)


async def test_a_revision_deleted_under_its_route_is_missed_until_it_comes_back(
    world: World,
) -> None:
    await world.service("sd", limit=1)
    await world.client.delete(REVISIONS, SD.name, namespace=NAMESPACE)
    await world.in_rotation(SD.name, 0)

    assert (await world.fetch("sd")).status == 404

    await world.revision(SD.name, limit=1)
    await world.in_rotation(SD.name, 1)
    assert (await world.fetch("sd")).status == 200


async def test_a_slot_that_was_closed_holds_for_its_next_revision(world: World) -> None:
    for number in range(10):
        # There are eight slots of a kind, so some are used twice.
        name = f"sd{number}"
        await world.revision(f"{name}-00001", limit=1)
        await world.route(name, {f"{name}-00001": 100})
        request = await world.send(name)
        await world.demand(f"{name}-00001", held=1)
        await world.client.delete(KINGRESSES, name, namespace=NAMESPACE)
        await world.client.delete(REVISIONS, f"{name}-00001", namespace=NAMESPACE)
        assert (await request.answer()).status == 404
        key = Key(NAMESPACE, f"{name}-00001")
        await world.api.eventually(lambda key=key: world.gateway._plane.slots.of(key) is None)


async def test_what_is_closed_stays_so_when_the_agent_comes_back(world: World) -> None:
    await world.revision(SD.name, limit=1)
    await world.route("sd", {SD.name: 100})
    request = await world.send("sd")
    await world.demand(SD.name, held=1)
    await world.end_agent()
    await world.client.delete(REVISIONS, SD.name, namespace=NAMESPACE)

    await world.start()

    assert (await request.answer()).status == 404
    assert (await world.fetch("sd")).status == 404
