"""Two gateways with a HAProxy each before the same pods: never a request too many in one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.gateway.clients import Answer, fetch
from tests.gateway.pods import CountingPod
from tests.gateway.world import NAMESPACE, World, running_gateway
from tidegate.apis import gateway_leases as leases
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import Key, Object
from tidegate.kube.resources import LEASES

SD = Key(NAMESPACE, "sd-00001")


@pytest.fixture
async def attentive(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway that looks every two seconds whether others are lost, at each of its renewals."""
    async with running_gateway(tmp_path, lease_seconds=12) as running:
        yield running


@asynccontextmanager
async def second_gateway(
    world: World, directory: Path, name: str = "second"
) -> AsyncIterator[World]:
    async with running_gateway(directory / name, api=world.api, name=name, reports=False) as other:
        yield other


async def serves(world: World) -> None:
    """Wait until the gateway knows the route."""
    await world.api.eventually(lambda: world.gateway._plane.slots.of(SD) is not None)


async def places_of(world: World) -> dict[str, dict[str, int]]:
    try:
        lease = await world.client.get(LEASES, leases.lease_of_revision(SD), namespace=NAMESPACE)
    except NotFound:
        return {}
    return {name: entry.places for name, entry in leases.entries_of(lease).items()}


async def has_places(world: World, name: str, number: int) -> None:
    async def check() -> bool:
        return sum((await places_of(world)).get(name, {}).values()) >= number

    await world.api.eventually(check)


async def load(world: World, number: int, clients: int, path: str = "/work?ms=5") -> list[Answer]:
    """So many requests through one gateway, by clients that send one after the other."""
    left = iter(range(number))

    async def client() -> list[Answer]:
        return [await fetch(world.port, "sd.default.localhost", f"{path}&n={n}") for n in left]

    return [
        answer
        for answers in await asyncio.gather(*(client() for _ in range(clients)))
        for answer in answers
    ]


def all_well(answers: list[Answer]) -> bool:
    return {answer.status for answer in answers} == {200}


def most(pods: list[CountingPod]) -> int:
    return max(pod.most for pod in pods)


async def test_a_gateway_that_is_alone_writes_nothing_about_revisions(world: World) -> None:
    await world.service("sd", limit=1, pods=2)
    assert all_well(await load(world, 20, 4))
    assert await places_of(world) == {}
    # Nor does it promise to stop: it goes on without a control plane for ever.
    name = leases.lease_of_gateway(world.settings.name)
    lease = await world.client.get(LEASES, name, namespace=leases.NAMESPACE)
    assert leases.ends_within(lease) is None


@pytest.mark.parametrize("limit", [1, 3])
async def test_pods_never_get_too_much_while_load_moves(
    world: World, tmp_path: Path, limit: int
) -> None:
    pods = await world.service("sd", limit=limit, pods=3)
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        both = await asyncio.gather(load(world, 200, 12), load(second, 200, 12))
        assert all_well(both[0] + both[1])
        for busy, quiet in ((world, second), (second, world)):
            answers = await asyncio.gather(load(busy, 200, 16), load(quiet, 10, 1))
            assert all_well(answers[0] + answers[1])
    assert most(pods) == limit


async def test_idle_places_move_to_the_demand(world: World, tmp_path: Path) -> None:
    pods = await world.service("sd", limit=1, pods=4)
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        await has_places(second, "second", 1)
        requests = [await second.send("sd", f"/hold?n={n}") for n in range(4)]
        await second.working(*pods)
        # Now the first has none, and waits for the next that is free.
        began = time.monotonic()
        late = await world.send("sd", "/work?ms=0")
        await world.demand(SD.name, held=1)
        for pod in pods:
            pod.released.set()
        assert (await late.answer()).status == 200
        assert time.monotonic() - began < 5
        for request in requests:
            assert (await request.answer()).status == 200
    assert most(pods) == 1


async def test_a_gateway_that_joins_waits_until_places_are_given_to_it(
    world: World, tmp_path: Path
) -> None:
    (pod,) = await world.service("sd", limit=1)
    first = await world.send("sd", "/hold")
    await world.working(pod)
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        waiting = await second.send("sd", "/hold")
        await second.demand(SD.name, held=1)
        assert pod.active == 1
        pod.released.set()
        assert (await first.answer()).status == 200
        assert (await waiting.answer()).status == 200
    assert most([pod]) == 1


async def test_one_pod_serves_both_in_turn(world: World, tmp_path: Path) -> None:
    """No gateway starves where there are fewer places than gateways."""
    pods = await world.service("sd", limit=1)
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        answers = await asyncio.gather(load(world, 60, 4, "/work?ms=20"), load(second, 20, 2))
        assert all_well(answers[0] + answers[1])
    assert most(pods) == 1


async def test_a_request_that_has_got_a_place_does_not_lose_it_on_its_way(
    world: World, tmp_path: Path
) -> None:
    """Between HAProxy's park and the pod it is counted nowhere for some milliseconds."""
    pods = await world.service("sd", limit=1, pods=2)
    number, gains = 20, 0
    async with second_gateway(world, tmp_path) as second, asyncio.TaskGroup() as group:
        await serves(second)
        informer = second.gateway._places._ledger.informer

        def count(old: Object | None, new: Object | None) -> None:
            nonlocal gains
            before, after = (leases.entries_of(lease).get("second") for lease in (old, new))
            had, has = (bool(entry and entry.places) for entry in (before, after))
            gains += has and not had

        informer.add_handler(count)
        busy = group.create_task(load(world, 1_000_000, 12, "/work?ms=10"))
        await world.api.eventually(lambda: all(pod.active for pod in pods))
        for _ in range(number):
            assert (await fetch(second.port, "sd.default.localhost", "/work?ms=1")).status == 200
            # Gone again, so that the next has to get one.
            await world.api.eventually(lambda: _sum_of(second) == 0)
        busy.cancel()
    assert gains <= number + 3
    assert most(pods) == 1


def _sum_of(world: World) -> int:
    lease = world.gateway._places._ledger.lease_of(SD)
    entry = leases.entries_of(lease).get(world.settings.name)
    return sum(entry.places.values()) if entry is not None else 0


async def test_a_pod_that_comes_up_goes_to_who_holds_requests(world: World, tmp_path: Path) -> None:
    await world.revision(SD.name, limit=1)
    await world.route("sd", {SD.name: 100})
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        waiting = await second.send("sd", "/work?ms=0")
        await second.demand(SD.name, held=1)
        pod = await world.pod(SD.name, "sd-a")
        assert (await waiting.answer()).status == 200
        assert most([pod]) == 1


async def test_a_gateway_that_leaves_gives_everything_back(world: World, tmp_path: Path) -> None:
    pods = await world.service("sd", limit=1, pods=2)
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        assert all_well(await load(second, 20, 4))
    await second.gateway.leave()
    # Alone again, the first has all pods and no entry.
    await world.in_rotation(SD.name, 2)

    async def is_gone() -> bool:
        return not await places_of(world)

    await world.api.eventually(is_gone)
    assert all_well(await load(world, 20, 4))
    assert most(pods) == 1


async def test_agents_and_haproxies_are_killed_under_load(world: World, tmp_path: Path) -> None:
    pods = await world.service("sd", limit=1, pods=3)
    async with second_gateway(world, tmp_path) as second, AsyncExitStack() as stack:
        await serves(second)
        steady = asyncio.create_task(load(world, 600, 6))
        stack.callback(steady.cancel)
        assert all_well(await load(second, 50, 6))
        # The agent dies; its HAProxy goes on with the places that it has.
        await second.end_agent()
        still = asyncio.create_task(load(second, 50, 2))
        await second.start()
        assert all_well(await still)
        # HAProxy dies; what it had in pods ends before they get more.
        process = second.gateway._plane.process
        killed = process.pid
        os.kill(killed, signal.SIGKILL)
        await second.api.eventually(lambda: process.pid not in (0, killed))
        assert all_well(await load(second, 50, 6))
        assert all_well(await steady)
    assert most(pods) == 1


async def test_haproxy_stops_by_itself_when_its_agent_is_gone(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    (plain,) = await world.service("plain")
    cut = await world.send("sd", "/hold")
    await world.working(pod)
    await world.end_agent()
    admin = world.gateway._plane.admin
    await admin.change(["keep places 1 1"])
    with pytest.raises((asyncio.IncompleteReadError, AssertionError)):
        assert (await cut.answer()).status == 200
    pod.released.set()
    held = await world.send("sd", "/work?ms=0")
    # What has no limit is shared with nobody and goes on.
    assert (await world.fetch("plain")).status == 200
    assert plain.seen
    assert pod.seen == ["/hold"]
    await world.start()
    assert (await held.answer()).status == 200


async def test_a_gateway_that_is_gone_for_good_leaves_its_places_to_the_others(
    attentive: World, tmp_path: Path
) -> None:
    await attentive.revision(SD.name, limit=1, timeoutSeconds=1)
    await attentive.route("sd", {SD.name: 100})
    pods = [await attentive.pod(SD.name, f"sd-{letter}") for letter in "ab"]
    await attentive.in_rotation(SD.name, 2)
    short = {"lease_seconds": 3, "reports": False, "name": "second"}
    async with running_gateway(tmp_path / "second", api=attentive.api, **short) as second:
        await serves(second)
        requests = [await second.send("sd", f"/hold?n={n}") for n in range(2)]
        await second.working(*pods)
        await second.end_agent()
        # Its HAProxy goes on, and so both pods stay its own.
        assert sum((await places_of(attentive))["second"].values()) == 2

        async def is_gone() -> bool:
            return set(await places_of(attentive)) <= {"gateway"}

        await attentive.api.eventually(is_gone)
        # What the pods had from it was cut before.
        for request in requests:
            assert (await request.answer()).status in (502, 504)
        for pod in pods:
            pod.released.set()
        assert all_well(await load(attentive, 10, 2))


async def test_what_comes_after_a_gateway_is_lost_does_not_wait_for_it(
    attentive: World, tmp_path: Path
) -> None:
    """Its places are its own for five minutes, but new pods it cannot have."""
    await attentive.revision(SD.name, limit=1, timeoutSeconds=300)
    await attentive.route("sd", {SD.name: 100})
    old = await attentive.pod(SD.name, "sd-old")
    await attentive.in_rotation(SD.name, 1)
    short = {"lease_seconds": 2, "reports": False, "name": "second"}
    async with running_gateway(tmp_path / "second", api=attentive.api, **short) as second:
        await serves(second)
        request = await second.send("sd", "/hold")
        await second.working(old)
        await second.end_agent()
        membership = attentive.gateway._membership
        await attentive.api.eventually(lambda: membership.has_stopped("second"))
        await attentive.api.eventually(lambda: "second" in attentive.gateway._places._stopped._pods)

        await attentive.revision("new-00001", limit=1)
        await attentive.pod("new-00001", "new-a")
        await attentive.route("new", {"new-00001": 100})
        assert (await attentive.fetch("new", "/work?ms=0")).status == 200
        # The old one works for the lost gateway, and the ledger's end does not make it free.
        name = leases.lease_of_revision(SD)
        await attentive.client.delete(LEASES, name, namespace=NAMESPACE)
        waiting = await attentive.send("sd", "/work?ms=0")
        await attentive.pod(SD.name, "sd-young")
        assert (await waiting.answer()).pod == "sd-young"
        assert old.active == old.most == 1
        assert old.seen == ["/hold"]
        request.leave(reset=True)
        old.released.set()


async def test_one_that_was_lost_while_it_was_alone_leaves_its_places_to_the_next(
    tmp_path: Path,
) -> None:
    short = {"lease_seconds": 2, "endures": False}
    async with running_gateway(tmp_path / "lone", name="lone", **short) as lone:
        await lone.revision(SD.name, limit=1, timeoutSeconds=1)
        await lone.route("sd", {SD.name: 100})
        pods = [await lone.pod(SD.name, f"sd-{letter}") for letter in "ab"]
        await lone.in_rotation(SD.name, 2)
        requests = [await lone.send("sd", f"/hold?n={n}") for n in range(2)]
        await lone.working(*pods)
        await lone.end_agent()
        # Nobody deletes its Lease by hand, and its HAProxy goes on: it ends what it has by itself.
        later = {"api": lone.api, "name": "next", "reports": False}
        async with running_gateway(tmp_path / "next", **later, **short) as following:
            await serves(following)
            waiting = await following.send("sd", "/work?ms=0")
            for request in requests:
                assert (await request.answer()).status in (502, 504)
            for pod in pods:
                pod.released.set()
            assert (await waiting.answer()).status == 200
            assert all_well(await load(following, 10, 2))
    assert most(pods) == 1


async def test_a_gateway_whose_lease_was_deleted_comes_back(world: World, tmp_path: Path) -> None:
    pods = await world.service("sd", limit=1, pods=2)
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        assert all_well(await load(second, 20, 4))
        before = second.gateway._places._own[SD]
        await world.client.delete(
            LEASES, leases.lease_of_gateway("second"), namespace=leases.NAMESPACE
        )

        async def is_back() -> bool:
            owned = [item.gateway._places._own.get(SD) for item in (world, second)]
            is_written = all(own is not None and own.is_written for own in owned)
            found = set(await places_of(world)) == {"gateway", "second"}
            return is_written and owned[1] is not before and found

        # Whoever deletes it says that the gateway is gone: until it knows, it is not exact.
        await world.api.eventually(is_back)
        # What it had is known to HAProxy as given up a moment later.
        for each in (world, second):
            await each.api.eventually(lambda each=each: _has_what_is_granted(each))
        both = await asyncio.gather(load(world, 50, 4), load(second, 50, 4))
        assert all_well(both[0] + both[1])
    assert most(pods) == 1


def _has_what_is_granted(world: World) -> bool:
    plane, own = world.gateway._plane, world.gateway._places._own[SD]
    servers = plane.servers.get(plane.slots.of(SD) or "", {})
    used = {name: 0 if server.is_maintenance else 1 for name, server in servers.items()}
    return plane.is_settled and all(
        used[name] <= own.granted.get(name, 0) for name in used if name != "park"
    )


async def test_a_ledger_that_was_deleted_is_written_again(world: World, tmp_path: Path) -> None:
    pods = await world.service("sd", limit=2, pods=2)
    async with second_gateway(world, tmp_path) as second:
        await serves(second)
        both = asyncio.gather(load(world, 150, 6), load(second, 150, 6))
        await has_places(second, "second", 1)
        name = leases.lease_of_revision(SD)
        await world.client.delete(LEASES, name, namespace=NAMESPACE)
        await has_places(second, "second", 1)
        assert all(map(all_well, await both))
    assert most(pods) == 2
