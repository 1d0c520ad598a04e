"""What clients and pods see of a request's way: hosts, headers, splits, sessions, limits."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from copy import deepcopy

import pytest

from tests.gateway.clients import Request, fetch
from tests.gateway.world import World
from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.autoscaling.policies.selection import PodView, choose
from tidegate.kube.objects import Key

AFFINITY = {
    "serving.knative.dev.alibabacloud/affinity": "cookie",
    "serving.knative.dev.alibabacloud/cookie-name": "sd",
    "serving.knative.dev.alibabacloud/cookie-timeout": "1800",
}


async def test_an_unknown_host_is_named(world: World) -> None:
    answer = await fetch(world.port, 'no"such.example:80')
    assert answer.status == 404
    assert answer.json()["message"] == 'no service answers to host "no"such.example:80"'


@pytest.mark.parametrize(
    "host", ["echo.default.localhost", "Echo.Default.LOCALHOST", "echo.default.localhost:8080"]
)
async def test_hosts_match_without_case_and_port(world: World, host: str) -> None:
    await world.service("echo")
    assert (await fetch(world.port, host)).status == 200


async def test_pods_get_the_headers_they_may_count_on_and_no_forged_ones(world: World) -> None:
    await world.service("echo")
    forged = {
        "K-Network-Hash": "x",
        "Knative-Serving-Revision": "x",
        "Knative-Serving-Default-Route": "x",
        "Tidegate-Pod": "x",
        "X-Forwarded-For": "10.0.0.1",
    }

    answer = await world.fetch("echo", headers=forged)

    got = answer.json()["headers"]
    assert got["host"] == "echo.default.localhost"
    assert got["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
    assert got["x-forwarded-proto"] == "http"
    assert got["forwarded"] == 'for="127.0.0.1";proto=http;host="echo.default.localhost"'
    assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}\d+", got["x-request-id"])
    assert not [name for name in got if name.startswith(("k-", "knative-", "tidegate-"))]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("asks", [True, False], ids=["asks", "asks not"])
@pytest.mark.parametrize("limit", [0, 1], ids=["unlimited", "limited"])
async def test_who_asks_is_told_of_the_pod_and_the_queue(
    world: World, limit: int, asks: bool
) -> None:
    await world.revision("sd-00001", limit=limit)
    await world.route("sd", {"sd-00001": 100})
    held = await world.send("sd", asks=asks)
    await world.demand("sd-00001", held=1)
    await world.pod("sd-00001", "sd-a")
    answers = [await held.answer(), await world.fetch("sd", asks=asks)]

    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    head = b"POST /headers HTTP/1.1\r\nHost: sd.default.localhost\r\nTransfer-Encoding: chunked\r\n"
    writer.write(head + (b"tidegate-debug: yes\r\n" if asks else b"") + b"\r\n5\r\nhello\r\n")
    await world.demand("sd-00001", in_flight=1)
    writer.write(b"0\r\n\r\n")
    answers.append(await Request(reader, writer).answer())

    told = {"tidegate-pod", "tidegate-queued-ms"}
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [told & answer.headers.keys() for answer in answers] == [told if asks else set()] * 3
    assert [answer.pod for answer in answers] == ["sd-a" if asks else ""] * 3
    assert answers[1].headers.get("tidegate-queued-ms", "0") == "0"


async def test_queued_milliseconds_are_told(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    sent = time.monotonic()
    first = await world.send("sd", "/hold")
    await world.working(pod)
    working = time.monotonic()
    second = await world.send("sd", "/work?ms=1")
    await world.demand("sd-00001", queued=1)
    await asyncio.sleep(0.05)
    pod.released.set()
    at_once = int((await first.answer()).headers["tidegate-queued-ms"])
    waited = int((await second.answer()).headers["tidegate-queued-ms"])
    assert at_once <= (working - sent) * 1000
    assert 50 <= waited <= (time.monotonic() - working) * 1000


async def test_traffic_splits_by_percent_and_follows_at_once(world: World) -> None:
    await world.revision("sd-00001")
    await world.revision("sd-00002")
    await world.pod("sd-00001", "old")
    await world.pod("sd-00002", "new")
    await world.route("sd", {"sd-00001": 80, "sd-00002": 20}, tags={"next": "sd-00002"})

    got = Counter([(await world.fetch("sd")).pod for _ in range(400)])
    assert 40 <= got["new"] <= 120
    tagged = await fetch(world.port, "next-sd.default.localhost")
    assert tagged.pod == "new"

    await world.route("sd", {"sd-00001": 0, "sd-00002": 100})
    assert {(await world.fetch("sd")).pod for _ in range(30)} == {"new"}
    assert (await fetch(world.port, "next-sd.default.localhost")).status == 404


async def test_a_tag_in_the_header_leads_to_its_revision(world: World) -> None:
    await world.revision("sd-00001")
    await world.revision("sd-00002")
    await world.pod("sd-00001", "old")
    await world.pod("sd-00002", "new")
    await world.route("sd", {"sd-00001": 100})
    ingress = deepcopy(await world.get(KINGRESSES, "sd"))
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    tagged = deepcopy(paths[0])
    tagged["headers"] = {"Knative-Serving-Tag": {"exact": "next"}}
    tagged["splits"][0]["serviceName"] = "sd-00002"
    paths.append(tagged)
    await world.client.update(KINGRESSES, ingress)

    async def is_there() -> bool:
        answer = await world.fetch("sd", headers={"Knative-Serving-Tag": "Next"})
        return answer.pod == "new"

    await world.api.eventually(is_there)
    assert (await world.fetch("sd")).pod == "old"
    assert (await world.fetch("sd", headers={"Knative-Serving-Tag": "other"})).pod == "old"


async def test_a_session_stays_with_its_pod_and_moves_on_when_it_is_gone(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    pods = {name: await world.pod("sd-00001", name) for name in ("a", "b", "c")}
    await world.route("sd", {"sd-00001": 100}, annotations=AFFINITY)
    await world.in_rotation("sd-00001", 3)

    first = await world.fetch("sd")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("sd=")
    assert "Max-Age=1800" in cookie
    session = {"Cookie": f"theme=dark; {cookie.partition(';')[0]}; x=y"}
    for _ in range(6):
        assert (await world.fetch("sd", headers=session)).pod == first.pod

    await world.endpoint("sd-00001", pods[first.pod], ready=False)
    await world.in_rotation("sd-00001", 2)
    moved = await world.fetch("sd", headers=session)
    assert moved.status == 200
    assert moved.pod != first.pod
    assert moved.pod in moved.headers["set-cookie"]


async def test_a_pod_with_sessions_is_known_and_goes_last(world: World) -> None:
    await world.revision("sd-00001")
    for name in "abc":
        await world.pod("sd-00001", name)
    await world.route("sd", {"sd-00001": 100}, annotations=AFFINITY)
    await world.in_rotation("sd-00001", 3)
    first = await world.fetch("sd")
    cookie = first.headers["set-cookie"].partition(";")[0]
    for _ in range(3):
        await world.fetch("sd", headers={"Cookie": cookie})

    def until() -> dict[str, float]:
        demand = world.gateway.demand.snapshot(Key("default", "sd-00001"))
        return {load.name: load.sessions_until for load in demand.pods} if demand else {}

    await world.api.eventually(lambda: until().get(first.pod, 0) > 0)
    fresh = until()
    assert set(fresh) == {"a", "b", "c"}
    assert 0 < fresh.pop(first.pod) - time.monotonic() <= 1800
    assert set(fresh.values()) == {0.0}
    views = [
        PodView(name, ready=True, created=float(number), sessions_until=until()[name])
        for number, name in enumerate("abc")
    ]
    assert first.pod not in choose(views, 2, {})


async def test_sessions_are_forgotten_with_their_route(world: World) -> None:
    await world.revision("sd-00001")
    await world.pod("sd-00001", "a")
    await world.route("sd", {"sd-00001": 100}, annotations=AFFINITY)
    await world.in_rotation("sd-00001", 1)
    await world.fetch("sd")
    key = Key("default", "sd-00001")
    await world.api.eventually(lambda: world.gateway._sessions.until(key, ["a"]) != {})

    await world.route("sd", {"sd-00001": 100})

    await world.api.eventually(lambda: world.gateway._sessions.until(key, ["a"]) == {})


async def test_a_session_waits_for_its_busy_pod(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    await world.pod("sd-00001", "a")
    await world.pod("sd-00001", "b")
    await world.route("sd", {"sd-00001": 100}, annotations=AFFINITY)
    await world.in_rotation("sd-00001", 2)
    first = await world.fetch("sd")
    session = {"Cookie": first.headers["set-cookie"].partition(";")[0]}

    requests = [await world.send("sd", "/work?ms=50", headers=session) for _ in range(3)]

    assert {(await request.answer()).pod for request in requests} == {first.pod}


async def test_a_silent_pod_gives_504_and_a_stream_goes_on(world: World) -> None:
    await world.revision("sd-00001", limit=1, timeoutSeconds=1)
    pod = await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})

    stream = await world.fetch("sd", "/stream?chunks=4&ms=300")
    assert stream.status == 200
    assert stream.body == b"data" * 4
    silent = await world.fetch("sd", "/work?ms=1300")
    assert silent.status == 504
    assert "time limit" in silent.json()["message"]
    assert (await world.fetch("sd")).status == 200
    assert pod.most == 1


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: echo.default.localhost\r\nA: " + b"x" * 20000, 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: echo.default.localhost", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (
            b"POST / HTTP/1.1\r\nHost: echo.default.localhost\r\nContent-Length: 5\r\n"
            b"Content-Length: 6",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: echo.default.localhost\r\nContent-Length: -1", 400),
        (b"GET / HTTP/1.1\r\nHost: echo.default.localhost\r\nbad header: x", 400),
    ],
    ids=["oversized", "nul", "two-hosts", "two-lengths", "negative", "space-in-name"],
)
async def test_malformed_requests_are_refused_before_any_pod(
    world: World, text: bytes, status: int
) -> None:
    (pod,) = await world.service("echo")
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(text + b"\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.transport.abort()
    assert int(line.split()[1]) == status
    assert pod.seen == []


async def test_too_many_waiting_requests_are_refused_and_told_when_to_come_back(
    world: World,
) -> None:
    await world.revision("sd-00001", limit=1, annotations={"tidegate.dev/max-queued": "3"})
    pod = await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})
    await world.in_rotation("sd-00001", 1)
    requests = [await world.send("sd", "/hold") for _ in range(4)]
    await world.demand("sd-00001", in_flight=1, queued=3)

    refused = await world.fetch("sd")
    pod.released.set()

    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert "default/sd-00001" in refused.json()["message"]
    assert {(await request.answer()).status for request in requests} == {200}
