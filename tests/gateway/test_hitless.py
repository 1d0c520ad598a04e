"""No request is lost while pods, routes and agents come and go under load."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from tests.gateway.pods import CountingPod
from tests.gateway.world import World
from tidegate.kube.objects import Key


class Load:
    """Clients with keep-alive connections that ask one thing after the other."""

    def __init__(self, port: int, host: str, clients: int) -> None:
        self._port = port
        self._host = host
        self._clients = clients
        self.statuses: Counter[int] = Counter()
        self._ends = asyncio.Event()

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ends.set()
        await asyncio.gather(*self._tasks)

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        request = f"GET /work?ms=2 HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()
        while not self._ends.is_set():
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            self.statuses[int(head.split()[1])] += 1
        writer.close()

    async def more(self, number: int) -> None:
        """Wait for so many more answers."""
        goal = self.statuses.total() + number
        while self.statuses.total() < goal:  # noqa: ASYNC110 - the count is the event
            await asyncio.sleep(0.005)


async def test_nothing_is_lost_while_pods_routes_and_the_agent_change(world: World) -> None:
    pods = await world.service("sd", limit=1, pods=2)
    await world.revision("sd-00002")
    async with Load(world.port, "sd.default.localhost", 8) as load:
        await load.more(50)
        pods.append(await world.pod("sd-00001", "sd-late"))
        await load.more(50)
        for pod in (pods[0], pods[1]):
            await world.endpoint("sd-00001", pod, ready=False)
            await load.more(30)
        newer = await world.pod("sd-00002", "sd-new")
        for percent in (10, 50, 100):
            await world.route("sd", {"sd-00001": 100 - percent, "sd-00002": percent})
            await load.more(50)
        await world.end_agent()
        await load.more(50)
        await world.start()
        await load.more(50)
        await world.route("sd", {"sd-00001": 100})
        await load.more(50)

    assert set(load.statuses) == {200}
    assert [pod.most for pod in pods] == [1, 1, 1]
    assert len(newer.seen) > 0


async def test_the_last_pod_goes_and_another_comes_under_load(world: World) -> None:
    (pod,) = await world.service("sd", limit=2)
    async with Load(world.port, "sd.default.localhost", 6) as load, contextlib.AsyncExitStack():
        for name in ("one", "two", "three"):
            await load.more(20)
            await world.endpoint("sd-00001", pod, gone=True)
            await world.in_rotation("sd-00001", 0)
            pod = await _next(world, name)
    assert set(load.statuses) == {200}


async def _next(world: World, name: str) -> CountingPod:
    pod = await world.pod("sd-00001", name)
    await world.in_rotation("sd-00001", 1)
    return pod


async def test_what_waits_for_a_revision_that_lost_its_route_is_served(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    await world.revision("sd-00002", limit=1)
    await world.pod("sd-00002", "sd-new")
    waiting = [await world.send("sd", f"/hold?n={n}") for n in range(6)]
    await world.demand("sd-00001", in_flight=1, queued=5)

    await world.route("sd", {"sd-00002": 100})
    pod.released.set()
    answers = await asyncio.gather(*(request.answer(timeout=5) for request in waiting))

    assert [answer.status for answer in answers] == [200] * 6
    assert len(pod.seen) == 6
    assert (await world.fetch("sd")).pod == "sd-new"
    plane = world.gateway._plane
    await world.api.eventually(lambda: plane.slots.of(Key("default", "sd-00001")) is None)


async def test_a_pod_comes_back_while_its_servers_are_being_deleted(world: World) -> None:
    (pod,) = await world.service("sd", limit=1)
    await world.fetch("sd")
    plane = world.gateway._plane
    slot = plane.slots.of(Key("default", "sd-00001"))

    await world.endpoint("sd-00001", pod, gone=True)
    # The connection to the pod is idle for a second, and that long HAProxy keeps the stage.
    await world.api.eventually(lambda: not plane.servers[slot])
    await world.endpoint("sd-00001", pod)

    assert (await world.fetch("sd")).status == 200
