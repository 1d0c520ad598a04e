"""From zero: requests wait for the first pod and go on in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.gateway.world import World, running_gateway


async def test_a_request_waits_for_the_first_pod_and_is_told(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    await world.route("sd", {"sd-00001": 100})
    request = await world.send("sd")
    await world.demand("sd-00001", held=1)

    await world.pod("sd-00001", "sd-a")
    answer = await request.answer()

    assert answer.status == 200
    assert answer.pod == "sd-a"
    assert 0 < float(answer.headers["tidegate-cold-start"]) < 10
    assert int(answer.headers["tidegate-queued-ms"]) > 0
    warm = await world.fetch("sd")
    assert warm.status == 200
    assert "tidegate-cold-start" not in warm.headers


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_pods_own_425_is_passed_on_and_sent_once(world: World, limit: int) -> None:
    await world.revision("sd-00001", limit=limit)
    await world.route("sd", {"sd-00001": 100})
    cold = await world.send("sd", "/status?code=425&n=cold")
    await world.demand("sd-00001", held=1)
    pod = await world.pod("sd-00001", "sd-a")

    answers = [await cold.answer(), await world.fetch("sd", "/status?code=425&n=warm")]

    assert [answer.status for answer in answers] == [425, 425]
    assert pod.seen == ["/status?code=425&n=cold", "/status?code=425&n=warm"]
    assert not any("tidegate-too-early" in answer.headers for answer in answers)


async def test_held_requests_go_on_in_the_order_in_which_they_came(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    await world.route("sd", {"sd-00001": 100})
    requests = []
    for number in range(20):
        requests.append(await world.send("sd", f"/work?ms=20&n={number}"))
        await world.demand("sd-00001", held=number + 1)

    pod = await world.pod("sd-00001", "sd-a")
    answers = await asyncio.gather(*(request.answer() for request in requests))

    assert [answer.status for answer in answers] == [200] * 20
    assert pod.seen == [f"/work?ms=20&n={number}" for number in range(20)]
    assert pod.most == 1


async def test_holding_ends_with_an_answer_that_says_so(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, hold_seconds=1, max_queued=2) as world:
        await world.revision("sd-00001", limit=1)
        await world.route("sd", {"sd-00001": 100})
        requests = [await world.send("sd") for _ in range(2)]
        await world.demand("sd-00001", held=2)

        refused = await world.fetch("sd")
        assert refused.status == 503
        assert "as many requests wait for one as may (2)" in refused.json()["message"]

        for request in requests:
            answer = await request.answer()
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
            assert "default/sd-00001 had no pod for 1 s" in answer.json()["message"]
        await world.demand("sd-00001", held=0)


async def test_a_held_request_whose_client_left_is_forgotten(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    await world.route("sd", {"sd-00001": 100})
    gone = [await world.send("sd", "/work?n=gone") for _ in range(3)]
    stays = await world.send("sd", "/work?n=stays")
    await world.demand("sd-00001", held=4)
    for number, request in enumerate(gone):
        request.leave(reset=bool(number % 2))
    await world.demand("sd-00001", held=1)

    pod = await world.pod("sd-00001", "sd-a")

    assert (await stays.answer()).status == 200
    assert pod.seen == ["/work?n=stays"]
