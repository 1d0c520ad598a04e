"""Who has to wait is heard of at once: no measurement at HAProxy's usual pace makes up for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from tests.gateway.world import NAMESPACE, World, running_gateway
from tidegate.apis.demand import Demand
from tidegate.gateway import demand
from tidegate.kube.objects import Key

SD = Key(NAMESPACE, "sd-00001")
_ROUNDS = 200


@pytest.fixture(autouse=True)
def nothing_is_measured_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """But where somebody waits, or every place is taken."""
    for name in ("_BUSY_SECONDS", "_CALM_SECONDS"):
        monkeypatch.setattr(demand, name, 3600.0)


async def _until(demands: AsyncIterator[Demand], *, queued: int) -> None:
    async with asyncio.timeout(30):
        while (await anext(demands)).queued != queued:
            pass


async def _connect(world: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that a thread of HAProxy has taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    return reader, writer


@pytest.mark.parametrize("threads", [2, 4])
async def test_the_second_of_two_who_come_at_once_for_one_place_is_heard_of(
    tmp_path: Path, threads: int
) -> None:
    """Each may be with another thread of HAProxy, and both may find the place free."""
    async with running_gateway(tmp_path, threads=threads) as world:
        (pod,) = await world.service("sd", limit=1)
        async with world.gateway.demand.subscribe() as demands:
            for _ in range(_ROUNDS):
                pod.released.clear()
                clients = [await _connect(world) for _ in range(2)]
                for _, writer in clients:
                    writer.write(b"GET /hold HTTP/1.1\r\nHost: sd.default.localhost\r\n\r\n")
                await _until(demands, queued=1)
                pod.released.set()
                for reader, writer in clients:
                    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
                    writer.close()
                await _until(demands, queued=0)
        assert pod.most == 1


async def test_who_is_noticed_while_others_are_counted_is_counted_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pod,) = await world.service("sd", limit=2)
    sampler, admin = world.gateway._sampler, world.gateway._plane.admin
    await world.api.eventually(lambda: not _is_due(world))
    notice, read = sampler.notice, admin.read
    noticed, is_read = asyncio.Event(), asyncio.Event()

    def noted(slots: Iterable[str]) -> None:
        notice(slots)
        noticed.set()

    async def slow(*commands: str) -> str:
        text = await read(*commands)
        if not is_read.is_set() and commands[0] == "show park":
            is_read.set()
            await noticed.wait()
        return text

    monkeypatch.setattr(admin, "read", slow)
    slot = world.gateway._plane.slots.of(SD) or ""
    async with world.gateway.demand.subscribe() as demands:
        sampler.notice((slot,))
        await is_read.wait()
        monkeypatch.setattr(sampler, "notice", noted)
        requests = [await world.send("sd", "/hold") for _ in range(3)]
        await _until(demands, queued=1)
    pod.released.set()
    assert {(await request.answer()).status for request in requests} == {200}


def _is_due(world: World) -> bool:
    watched = world.gateway._sampler._watched.values()
    now = world.gateway._sampler._clock.monotonic()
    return any(slot.due < now + 60 for slot in watched)
