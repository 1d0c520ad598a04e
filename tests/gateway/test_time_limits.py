"""Time limits with Knative's meanings, through a real HAProxy.

`timeoutSeconds` and `responseStartTimeoutSeconds` end with the first byte of the answer, and the
shorter decides; `idleTimeoutSeconds` limits silences inside an answer, without it nothing does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets

from tests.gateway.pods import CountingPod
from tests.gateway.world import World
from tidegate.gateway.reading import revision_of

_EVENTS = "text/event-stream"


async def _serve(world: World, *, limit: int, **limits: int) -> CountingPod:
    await world.revision("sd-00001", limit=limit, **limits)
    pod = await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})
    await world.in_rotation("sd-00001", 1)
    return pod


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
    pod = await _serve(world, limit=limit, **limits)

    begun = time.monotonic()
    answer = await world.fetch("sd", "/hold")

    assert answer.status == 504
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["code"] == 504
    assert "time limit" in answer.json()["message"]
    # One second of patience, not sixty; timers may be a moment early.
    assert 0.95 <= time.monotonic() - begun < 30
    pod.released.set()


@pytest.mark.parametrize("limit", [0, 4])
@pytest.mark.parametrize(
    "limits", [{"timeoutSeconds": 1}, {"timeoutSeconds": 60, "idleTimeoutSeconds": 1}]
)
async def test_requests_that_are_not_the_first_of_their_connections_get_504_too(
    world: World, limit: int, limits: dict[str, int]
) -> None:
    """Clients send once more what a connection that ends without an answer has carried."""
    pod = await _serve(world, limit=limit, **limits)

    async def one_in_time_one_late() -> httpx.Response:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as client:
            client.headers["Host"] = "sd.default.localhost"
            assert (await client.get("/headers")).status_code == 200
            return await client.get("/hold", timeout=30)

    answers = await asyncio.gather(*(one_in_time_one_late() for _ in range(3)))

    assert [(late.status_code, late.json()["code"]) for late in answers] == [(504, 504)] * 3
    assert sorted(pod.seen) == ["/headers"] * 3 + ["/hold"] * 3
    pod.released.set()


@pytest.mark.parametrize(
    ("spec", "plain", "start", "watched"),
    [
        ({}, True, True, False),
        ({"timeoutSeconds": 600}, False, True, True),
        ({"timeoutSeconds": 60}, False, True, False),
        ({"timeoutSeconds": 600, "responseStartTimeoutSeconds": 300}, True, True, False),
        ({"timeoutSeconds": 60, "idleTimeoutSeconds": 20}, False, False, False),
        ({"timeoutSeconds": 60, "idleTimeoutSeconds": 90}, False, True, False),
        ({"timeoutSeconds": 600, "idleTimeoutSeconds": 500}, False, False, False),
        ({"timeoutSeconds": 600, "idleTimeoutSeconds": 900}, False, True, True),
    ],
)
def test_haproxy_keeps_what_it_can_count(
    spec: dict[str, int], plain: bool, start: bool, watched: bool
) -> None:
    obj = {"metadata": {"namespace": "default", "name": "sd-00001"}, "spec": spec}
    revision = revision_of(obj, affinity=None, max_queued=10)

    assert (revision.is_plain, revision.has_start_limit) == (plain, start)
    assert revision.is_watched == watched


# Longer than what HAProxy reads before it sends on.
_LONG = b"x" * 100_000
_BODIES = pytest.mark.parametrize("body", [b"", b"{}", _LONG], ids=["none", "short", "long"])


@pytest.mark.usefixtures("usual_second")
@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("seconds", [1, 2], ids=["usual", "longer"])
@_BODIES
async def test_an_answer_may_be_silent_for_ever_where_no_limit_is_set(
    world: World, limit: int, seconds: int, body: bytes
) -> None:
    await _serve(world, limit=limit, timeoutSeconds=seconds)

    stream = await world.fetch("sd", "/stream?chunks=1&ms=100&silent=3000", body=body)

    assert stream.status == 200
    assert stream.body == b"data"


@pytest.mark.usefixtures("usual_second")
@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("seconds", [1, 2], ids=["usual", "longer"])
@_BODIES
async def test_the_first_byte_has_its_limit_whatever_the_body(
    world: World, limit: int, seconds: int, body: bytes
) -> None:
    pod = await _serve(world, limit=limit, timeoutSeconds=seconds)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as client:
        client.headers["Host"] = "sd.default.localhost"
        assert (await client.get("/headers")).status_code == 200
        begun = time.monotonic()
        answer = await client.request("POST" if body else "GET", "/hold", content=body, timeout=30)

    assert answer.status_code == 504
    assert "time limit" in answer.json()["message"]
    assert seconds <= time.monotonic() - begun < 30
    pod.released.set()


@pytest.mark.usefixtures("usual_second")
@pytest.mark.parametrize("seconds", [1, 2], ids=["usual", "longer"])
async def test_a_body_that_is_still_being_sent_keeps_the_time_from_running(
    world: World, seconds: int
) -> None:
    await _serve(world, limit=1, timeoutSeconds=seconds)

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0.6)
            yield _LONG

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as client:
        headers = {"Host": "sd.default.localhost", "Content-Length": str(5 * len(_LONG))}
        answer = await client.post("/headers", content=slowly(), headers=headers, timeout=30)

    assert answer.status_code == 200


@pytest.mark.parametrize("limits", [{}, {"timeoutSeconds": 60}], ids=["usual", "shorter"])
async def test_what_is_no_answer_is_not_taken_for_lateness(
    world: World, limits: dict[str, int]
) -> None:
    await _serve(world, limit=0, **limits)

    answer = await world.fetch("sd", "/nonsense")

    assert answer.status == 502
    assert "no valid answer" in answer.json()["message"]


@pytest.mark.parametrize("limits", [{"timeoutSeconds": 1}, {"timeoutSeconds": 2}])
@pytest.mark.parametrize("limit", [0, 1])
async def test_limits_are_kept_while_the_agent_is_away(
    world: World, limit: int, limits: dict[str, int]
) -> None:
    pod = await _serve(world, limit=limit, **limits)
    await world.end_agent()

    answer = await world.fetch("sd", "/hold")

    assert answer.status == 504
    pod.released.set()


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize(
    "limits",
    [
        {"timeoutSeconds": 1},
        {"timeoutSeconds": 60, "responseStartTimeoutSeconds": 1},
        {"timeoutSeconds": 1, "responseStartTimeoutSeconds": 1, "idleTimeoutSeconds": 60},
    ],
    ids=["timeout", "response-start", "idle"],
)
async def test_silences_in_an_answer_may_be_longer_than_what_its_beginning_may_take(
    world: World, limit: int, limits: dict[str, int]
) -> None:
    await _serve(world, limit=limit, **limits)

    stream = await world.fetch("sd", "/stream?chunks=2&ms=1500", headers={"Accept": _EVENTS})

    assert stream.status == 200
    assert stream.body == b"data" * 2


async def test_a_request_is_ended_for_its_own_lateness_only(world: World) -> None:
    """Others of the same pod, some that stream and some that are young, go on."""
    pod = await _serve(world, limit=0, timeoutSeconds=2)

    streaming = await world.send("sd", "/stream?chunks=2&ms=2500")
    late = await world.send("sd", "/hold")
    await asyncio.sleep(1)
    young = await world.send("sd", "/work?ms=1200")

    assert (await late.answer()).status == 504
    assert (await young.answer()).status == 200
    assert (await streaming.answer()).body == b"data" * 2
    pod.released.set()


async def test_a_pod_that_is_late_keeps_its_place_until_it_is_done(world: World) -> None:
    pod = await _serve(world, limit=1, timeoutSeconds=1)

    assert (await world.fetch("sd", "/hold")).status == 504
    following = await world.send("sd", "/headers")
    await world.demand("sd-00001", queued=1)
    assert pod.seen == ["/hold"]
    pod.released.set()

    assert (await following.answer()).status == 200
    assert pod.most == 1


@pytest.mark.parametrize("limit", [0, 1])
async def test_the_time_in_which_there_is_no_pod_does_not_count(world: World, limit: int) -> None:
    await world.revision("sd-00001", limit=limit, timeoutSeconds=2, idleTimeoutSeconds=1)
    await world.route("sd", {"sd-00001": 100})
    held = await world.send("sd", "/work?ms=500")
    await world.demand("sd-00001", held=1)
    await asyncio.sleep(3)

    await world.pod("sd-00001", "sd-a")

    assert (await held.answer()).status == 200


@pytest.mark.parametrize("limit", [0, 1])
async def test_what_was_held_has_its_limit_at_the_pod(world: World, limit: int) -> None:
    await world.revision("sd-00001", limit=limit, timeoutSeconds=1)
    await world.route("sd", {"sd-00001": 100})
    held = await world.send("sd", "/hold")
    await world.demand("sd-00001", held=1)

    pod = await world.pod("sd-00001", "sd-a")
    answer = await held.answer()

    assert answer.status == 504
    assert "time limit" in answer.json()["message"]
    pod.released.set()


async def test_the_time_in_the_queue_does_not_count(world: World) -> None:
    await _serve(world, limit=1, timeoutSeconds=2)

    requests = [await world.send("sd", "/work?ms=900") for _ in range(4)]

    assert {(await request.answer()).status for request in requests} == {200}


@pytest.mark.parametrize("body", [b"", b"{}"], ids=["none", "short"])
async def test_the_time_does_not_count_in_which_the_pod_works_for_who_has_left(
    world: World, body: bytes
) -> None:
    pod = await _serve(world, limit=1, timeoutSeconds=2)
    left = await world.send("sd", "/hold")
    await world.working(pod)
    left.leave(reset=True)

    waiting = await world.send("sd", "/headers", body=body)
    await asyncio.sleep(3)
    pod.released.set()

    assert (await waiting.answer()).status == 200
    assert pod.most == 1


async def test_limits_are_kept_after_the_agent_was_away(world: World) -> None:
    pod = await _serve(world, limit=1, timeoutSeconds=2)
    request = await world.send("sd", "/hold")
    await world.demand("sd-00001", in_flight=1)

    await world.end_agent()
    await world.start()

    assert (await request.answer()).status == 504
    pod.released.set()


async def test_a_pod_that_closes_without_an_answer_is_still_502(world: World) -> None:
    pod = await _serve(world, limit=0, timeoutSeconds=60)
    request = await world.send("sd", "/hold")
    await world.working(pod)

    pod.die()
    answer = await request.answer()

    assert answer.status == 502
    assert answer.json()["code"] == 502


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_stream_that_falls_silent_for_longer_than_idle_ends(
    world: World, limit: int
) -> None:
    pod = await _serve(world, limit=limit, timeoutSeconds=60, idleTimeoutSeconds=1)

    request = await world.send("sd", "/stream?chunks=2&ms=20&silence=1")

    with pytest.raises(asyncio.IncompleteReadError):
        await request.answer()
    pod.released.set()


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
