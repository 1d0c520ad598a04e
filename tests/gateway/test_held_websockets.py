"""WebSockets that come while there is no pod: they are held, and go on, like other requests."""

from __future__ import annotations

import asyncio

import pytest
import websockets

from tests.gateway.clients import Request
from tests.gateway.world import World

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


async def _at_zero(world: World, limit: int) -> None:
    await world.revision("ws-00001", limit=limit)
    await world.route("ws", {"ws-00001": 100})


async def _hold(world: World, number: int) -> list[Request]:
    requests = [world.send("ws", f"/work?n={n}", headers=_UPGRADE) for n in range(number)]
    return list(await asyncio.gather(*requests))


@pytest.mark.parametrize("limit", [0, 1])
async def test_one_that_was_held_goes_through(world: World, limit: int) -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    await _at_zero(world, limit)
    uri = f"ws://ws.default.localhost:{world.port}/"
    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        connecting = asyncio.ensure_future(
            websockets.connect(uri, host="127.0.0.1", port=world.port, open_timeout=60)
        )
        await world.demand("ws-00001", held=1)
        pod = await world.pod("ws-00001", "ws-a", ready=False)
        pod.port = server.sockets[0].getsockname()[1]
        await world.endpoint("ws-00001", pod)
        async with await connecting as client:
            for message in ("hello", "x" * 100_000):
                await client.send(message)
                assert await client.recv() == message
            await world.demand("ws-00001", in_flight=1)
        await world.demand("ws-00001", in_flight=0)


@pytest.mark.parametrize("code", [200, 299, 403, 425])
@pytest.mark.parametrize("limit", [0, 1])
async def test_a_pod_that_refuses_one_that_was_held_is_heard(
    world: World, limit: int, code: int
) -> None:
    await _at_zero(world, limit)
    held = await world.send("ws", f"/status?code={code}", headers=_UPGRADE)
    await world.demand("ws-00001", held=1)

    pod = await world.pod("ws-00001", "ws-a")
    answer = await held.answer()

    assert answer.status == code
    assert answer.json()["headers"]["sec-websocket-version"] == "13"
    assert pod.seen == [f"/status?code={code}"]


@pytest.mark.parametrize("limit", [0, 4])
@pytest.mark.parametrize("reset", [False, True])
async def test_all_who_leave_while_they_are_held_are_noticed(
    world: World, limit: int, reset: bool
) -> None:
    await _at_zero(world, limit)
    for _ in range(3):
        gone = await _hold(world, 40)
        await world.demand("ws-00001", held=40)
        for request in gone:
            request.leave(reset=reset)
        await world.demand("ws-00001", held=0)
    stays = await world.send("ws", "/work?n=stays")
    await world.demand("ws-00001", held=1)

    pod = await world.pod("ws-00001", "ws-a")

    assert (await stays.answer()).status == 200
    assert pod.seen == ["/work?n=stays"]
