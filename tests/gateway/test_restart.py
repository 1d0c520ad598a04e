"""The agent dies, HAProxy dies: what goes on, and what comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.gateway.pods import CountingPod
from tests.gateway.world import NAMESPACE, World, running_gateway
from tidegate.gateway.orphans import orphaned_ports
from tidegate.kube.errors import UserError
from tidegate.kube.objects import Key


async def test_an_agent_takes_over_the_proxy_with_its_requests(world: World) -> None:
    pods = await world.service("sd", limit=1, pods=2)
    before = world.gateway._plane.process.pid
    requests = [await world.send("sd", "/hold") for _ in range(4)]
    await world.demand("sd-00001", in_flight=2, queued=2)

    await world.end_agent()
    requests.append(await world.send("sd", "/work?ms=1"))
    await world.start()

    assert world.gateway._plane.process.pid == before
    await world.demand("sd-00001", in_flight=2, queued=3)
    for pod in pods:
        pod.released.set()
    assert {(await request.answer()).status for request in requests} == {200}
    assert [pod.most for pod in pods] == [1, 1]


async def test_an_agent_that_comes_back_sees_what_changed_meanwhile(world: World) -> None:
    first, second = await world.service("sd", limit=1, pods=2)
    await world.end_agent()

    await world.endpoint("sd-00001", first, gone=True)
    await world.route("other", {"sd-00001": 100}, wait=False)
    await world.start()

    assert {(await world.fetch("sd")).pod for _ in range(4)} == {second.name}
    assert (await world.fetch("other")).status == 200


async def test_a_proxy_that_was_killed_is_replaced(world: World) -> None:
    pods = await world.service("sd", limit=1, pods=2)
    await world.service("echo", pods=1)
    killed = world.gateway._plane.process.pid

    os.kill(killed, signal.SIGKILL)
    await world.api.eventually(lambda: _is_served(world))

    assert world.gateway._plane.process.pid != killed
    answers = await asyncio.gather(*(world.fetch("sd", "/work?ms=5") for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert [pod.most for pod in pods] == [1, 1]
    assert (await world.fetch("echo")).status == 200


async def test_requests_are_counted_on_when_the_proxy_was_killed(world: World) -> None:
    await world.revision("sd-00001", limit=1)
    pod = await world.pod("sd-00001", "sd-a")
    await world.route("sd", {"sd-00001": 100})
    for _ in range(3):
        await world.fetch("sd")
    await world.demand("sd-00001", requests=3)
    # Nothing is measured any more while there is neither a pod nor a request.
    await world.endpoint("sd-00001", pod, gone=True)
    slot = world.gateway._plane.slots.of(Key(NAMESPACE, "sd-00001"))
    await world.api.eventually(lambda: slot not in world.gateway._sampler._watched)

    killed = world.gateway._plane.process.pid
    os.kill(killed, signal.SIGKILL)
    await world.api.eventually(lambda: world.gateway._plane.process.pid not in (0, killed))
    await world.endpoint("sd-00001", pod)
    for _ in range(2):
        assert (await world.fetch("sd")).status == 200

    await world.demand("sd-00001", requests=5)


async def _at_work_for_a_killed_proxy(world: World, **limits: int) -> CountingPod:
    """The one pod of a service that may have one request at once."""
    await world.revision("sd-00001", limit=1, **limits)
    await world.route("sd", {"sd-00001": 100})
    pod = await world.pod("sd-00001", "sd-a")
    await world.in_rotation("sd-00001", 1)
    orphan = await world.send("sd", "/hold?n=orphan")
    await world.working(pod)
    await _replaced(world)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await orphan.answer()
    return pod


async def test_a_pod_at_work_for_a_killed_proxy_gets_nothing_until_it_is_done(
    world: World,
) -> None:
    pod = await _at_work_for_a_killed_proxy(world)
    requests = [await world.send("sd", "/work?ms=5") for _ in range(3)]
    await world.demand("sd-00001", total=3)
    assert len(pod.seen) == 1
    pod.released.set()
    answers = [await request.answer() for request in requests]

    assert [answer.status for answer in answers] == [200] * 3
    assert len(pod.seen) == 4
    assert pod.most == 1


async def test_a_pod_is_spared_though_what_it_works_on_is_over_time(world: World) -> None:
    """The time limit ends requests, not the work of pods."""
    pod = await _at_work_for_a_killed_proxy(world, timeoutSeconds=1)
    following = await world.send("sd", "/headers")
    await world.demand("sd-00001", total=1)

    await asyncio.sleep(2)
    await world.demand("sd-00001", total=1)

    assert len(pod.seen) == 1
    pod.released.set()
    assert (await following.answer()).status == 200


async def test_an_agent_that_comes_back_spares_pods_at_work_for_a_killed_proxy(
    world: World,
) -> None:
    """The HAProxy that it adopts is not the one that gave them their work."""
    pod = await _at_work_for_a_killed_proxy(world)
    adopted = world.gateway._plane.process.pid

    await world.end_agent()
    await world.start()
    requests = [await world.send("sd", "/work?ms=5") for _ in range(3)]
    await world.demand("sd-00001", total=3)

    assert world.gateway._plane.process.pid == adopted
    assert pod.seen == ["/hold?n=orphan"]
    pod.released.set()
    assert {(await request.answer()).status for request in requests} == {200}
    assert pod.most == 1


async def test_an_agent_that_comes_back_leaves_pods_where_the_last_one_let_them_in(
    world: World,
) -> None:
    """Whatever their sockets show: HAProxy did not wait for the agent to use them."""
    (pod,) = await world.service("sd", limit=1)
    _, stray = await asyncio.open_connection("127.0.0.1", pod.port)
    stray.write(b"GET /hold HTTP/1.1\r\n\r\n")
    await world.working(pod)
    stray.transport.abort()
    await world.api.eventually(lambda: pod.port in orphaned_ports())

    await world.end_agent()
    await world.start()

    await world.in_rotation("sd-00001", 1)
    assert pod.port not in world.gateway._plane.orphans.ports
    pod.released.set()


async def test_stopping_the_proxy_leaves_no_process(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as world:
        pid = world.gateway._plane.process.pid
        await world.end_agent()
        os.kill(pid, 0)
        await world.gateway.stop_proxy()
        with pytest.raises(ConnectionError):
            await world.fetch("sd")


async def test_the_proxy_is_stopped_at_once_when_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.gateway.haproxy.process._GRACE_SECONDS", 3600.0)
    async with running_gateway(tmp_path) as world:
        (pod,) = await world.service("sd")
        await world.send("sd", "/hold")
        await world.working(pod)
        await world.end_agent()
        at_once = asyncio.Event()
        stopping = asyncio.create_task(world.gateway.stop_proxy(at_once))
        # It waits for what is in flight until it is told not to.
        await asyncio.wait([stopping], timeout=0.5)
        assert not stopping.done()
        at_once.set()
        async with asyncio.timeout(30):
            await stopping
        with pytest.raises(ConnectionError):
            await world.fetch("sd")
        pod.released.set()


async def test_a_busy_port_is_said(tmp_path: Path, world: World) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with running_gateway(tmp_path / "other", port=world.port):
            pass
    first = caught.value
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, UserError)
    assert str(world.port) in str(first)


async def _replaced(world: World) -> None:
    """Kill HAProxy, and wait until the agent has another."""
    killed = world.gateway._plane.process.pid
    os.kill(killed, signal.SIGKILL)
    await world.api.eventually(lambda: world.gateway._plane.process.pid not in (0, killed))


async def _is_served(world: World) -> bool:
    try:
        return (await world.fetch("sd")).status == 200
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
