"""Hundreds of services on one gateway: each is found, and those that are idle cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.gateway.pods import CountingPod, running_pod
from tests.gateway.world import World, running_gateway
from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.kube.objects import Key

_SERVICES = 300


@pytest_asyncio.fixture
async def many(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway with so many services without a pod, all of them routed and measured once."""
    async with running_gateway(
        tmp_path, limited_slots=_SERVICES + 8, stages=_SERVICES + 8
    ) as world:
        names = _names()
        await asyncio.gather(*(world.revision(f"{name}-00001", limit=1) for name in names))
        await asyncio.gather(
            *(world.route(name, {f"{name}-00001": 100}, wait=False) for name in names)
        )

        async def are_routed() -> bool:
            listing = await world.client.list(KINGRESSES)
            return all(obj.get("status") for obj in listing.items)

        await world.api.eventually(are_routed, timeout=60)
        await world.api.eventually(lambda: not world.gateway._sampler._watched, timeout=60)
        yield world


def _names() -> list[str]:
    return [f"sd-{number:03}" for number in range(_SERVICES)]


async def test_each_of_many_services_gets_its_own_requests(many: World) -> None:
    async with running_pod("shared") as pod:
        for name in _names():
            await _enable(many, name, pod)
        for name in _names():
            await many.in_rotation(f"{name}-00001", 1)

        answers = await asyncio.gather(*(many.fetch(name, "/headers") for name in _names()))

    assert [answer.status for answer in answers] == [200] * _SERVICES
    assert [answer.pod for answer in answers] == [f"{name}-pod" for name in _names()]


async def _enable(world: World, service: str, pod: CountingPod) -> None:
    """One program stands for the pods of all services: its name is that of the endpoint."""
    pod.name = f"{service}-pod"
    await world.endpoint(f"{service}-00001", pod)


async def test_services_that_are_idle_are_never_asked_about(
    many: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = many.gateway._plane
    asked: list[str] = []
    read = plane.admin.read

    async def noted(*commands: str) -> str:
        asked.extend(commands)
        return await read(*commands)

    monkeypatch.setattr(plane.admin, "read", noted)
    name = _names()[0]
    await many.pod(f"{name}-00001", "only")
    await many.in_rotation(f"{name}-00001", 1)
    for _ in range(20):
        await many.fetch(name)
    await many.demand(f"{name}-00001", requests=20, in_flight=0)

    slot = plane.slots.of(Key("default", f"{name}-00001")) or ""
    own = {slot, *plane.stages_of(slot).values()}
    assert asked
    assert _slots(asked) <= own


def _slots(commands: Iterable[str]) -> set[str]:
    """The proxies that `show stat <proxy> ...` names."""
    return {command.split()[2] for command in commands if command.startswith("show stat")}
