"""From zero: requests wait for the first pod and go on in order."""

from __future__ import annotations

import asyncio

from tests.gateway.world import World


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
