"""Everything at once, at random: clients that leave, pods that flap, agents that end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from tests.gateway.pods import CountingPod
from tests.gateway.world import World

_CLIENTS = 20
_REQUESTS = 30


@pytest.mark.parametrize(("seed", "limit"), [(1, 1), (2, 3)])
async def test_limits_hold_and_nothing_is_lost_or_sent_twice(
    world: World, seed: int, limit: int
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    pods = await world.service("sd", limit=limit, pods=4)
    statuses: Counter[int] = Counter()

    async def client(number: int) -> None:
        for turn in range(_REQUESTS):
            target = f"/work?ms={chance.randint(0, 30)}&n={number}-{turn}"
            request = await world.send("sd", target)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.1)
                request.leave(reset=chance.random() < 0.5)
            else:
                statuses[(await request.answer()).status] += 1

    faults = asyncio.create_task(_faults(world, pods, chance))
    await asyncio.gather(*(client(number) for number in range(_CLIENTS)))
    faults.cancel()
    await asyncio.gather(faults, return_exceptions=True)

    assert set(statuses) == {200}
    assert max(pod.most for pod in pods) == limit
    targets = [target for pod in pods for target in pod.seen]
    assert len(targets) == len(set(targets))


async def _faults(world: World, pods: list[CountingPod], chance: random.Random) -> None:
    for turn in range(10_000):
        await asyncio.sleep(chance.random() * 0.1)
        await world.endpoint("sd-00001", chance.choice(pods), ready=chance.random() < 0.6)
        if turn % 15 == 14:
            # Shielded, so that the world has an agent to end when the test is over.
            await asyncio.shield(_another_agent(world))


async def _another_agent(world: World) -> None:
    await world.end_agent()
    await world.start()
