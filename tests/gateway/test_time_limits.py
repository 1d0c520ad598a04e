"""Time limits with Knative's meanings, through a real HAProxy.

`timeoutSeconds` and `responseStartTimeoutSeconds` end with the first byte of the answer;
`idleTimeoutSeconds` limits every silence. The shortest that is set decides.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import websockets

from tests.gateway.world import World


async def _serve(world: World, *, limit: int, **limits: int) -> None:
    await world.revision("sd-00001", limit=limit, **limits)
    await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})
    await world.in_rotation("sd-00001", 1)


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize(
    "limits",
    [
        {"timeoutSeconds": 1},
        {"timeoutSeconds": 60, "responseStartTimeoutSeconds": 1},
        {"timeoutSeconds": 60, "idleTimeoutSeconds": 1},
    ],
    ids=["timeout", "response-start", "idle"],
)
async def test_a_pod_that_does_not_begin_to_answer_gives_504(
    world: World, limit: int, limits: dict[str, int]
) -> None:
    await _serve(world, limit=limit, **limits)

    begun = time.monotonic()
    answer = await world.fetch("sd", "/hold")

    assert answer.status == 504
    assert "time limit" in answer.json()["message"]
    # One second of patience, not sixty; the rest is a busy machine's.
    assert 1 <= time.monotonic() - begun < 30


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize(
    "limits",
    [{"timeoutSeconds": 3}, {"timeoutSeconds": 60, "responseStartTimeoutSeconds": 3}],
    ids=["timeout", "response-start"],
)
async def test_an_answer_that_has_begun_in_time_streams_on(
    world: World, limit: int, limits: dict[str, int]
) -> None:
    await _serve(world, limit=limit, **limits)

    stream = await world.fetch("sd", "/stream?chunks=8&ms=500")

    assert stream.status == 200
    assert stream.body == b"data" * 8


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_stream_that_falls_silent_for_longer_than_idle_ends(
    world: World, limit: int
) -> None:
    await _serve(world, limit=limit, timeoutSeconds=60, idleTimeoutSeconds=1)

    request = await world.send("sd", "/stream?chunks=2&ms=20&silence=1")

    with pytest.raises(asyncio.IncompleteReadError):
        await request.answer()


async def _tunnel(world: World, **limits: int) -> tuple[Any, Any]:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    server = await websockets.serve(echo, "127.0.0.1", 0, ping_interval=None)
    await world.revision("ws-00001", limit=1, **limits)
    pod = await world.pod("ws-00001", "ws-a")
    await world.endpoint("ws-00001", pod, gone=True)
    pod.port = server.sockets[0].getsockname()[1]
    await world.endpoint("ws-00001", pod)
    await world.route("ws", {"ws-00001": 100})
    await world.leads_to("ws-00001", pod)
    client = await websockets.connect(
        "ws://ws.default.localhost/", host="127.0.0.1", port=world.port, ping_interval=None
    )
    return client, server


async def test_a_silent_websocket_is_not_cut_by_the_limits_on_its_beginning(world: World) -> None:
    client, server = await _tunnel(world, timeoutSeconds=1, responseStartTimeoutSeconds=1)
    try:
        await asyncio.sleep(2.5)
        await client.send("still there")
        assert await client.recv() == "still there"
    finally:
        await client.close()
        server.close()


async def test_a_websocket_on_which_nobody_speaks_ends_after_idle(world: World) -> None:
    client, server = await _tunnel(world, timeoutSeconds=60, idleTimeoutSeconds=3)
    try:
        for _ in range(4):
            await client.send("hello")
            assert await client.recv() == "hello"
            await asyncio.sleep(1)
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(30):
                await client.recv()
    finally:
        await client.close()
        server.close()
