"""Which pods get a place, and what those without one wait for."""

from __future__ import annotations

import asyncio

from tests.node.machine import Machine
from tests.support.virtual_clock import VirtualClock, settle
from tidegate.kube.objects import Object
from tidegate.node.gpus import Gpus
from tidegate.node.lifecycle.placement import Placement, Placer
from tidegate.node.ports import PortAllocator
from tidegate.node.specs import USE_SPECS_ANNOTATION, load_table

TABLE = load_table()


def placer(
    *, gpus: int = 0, max_pods: int = 100, ports: int = 100, clock: VirtualClock | None = None
) -> Placer:
    clock = clock or VirtualClock()
    allocator = PortAllocator(
        100, 99 + ports, clock=clock, quarantine=60, claims=Machine(), start=100
    )
    return Placer(TABLE, gpus=Gpus(gpus), ports=allocator, max_pods=max_pods, clock=clock)


def pod(gpus: int | str = 0, **annotations: str) -> Object:
    limits = {"nvidia.com/gpu": gpus} if gpus else {}
    return {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "main", "resources": {"limits": limits}}]},
    }


async def place(placer: Placer, pod: Object) -> tuple[Placement | None, list[str]]:
    """The placement, or None with the refusal."""
    told: list[str] = []

    class RefusedError(Exception):
        pass

    async def refused(message: str) -> None:
        told.append(message)
        raise RefusedError

    try:
        return await placer.place(lambda: pod, [8080], refused), told
    except RefusedError:
        return None, told


async def test_gpus_are_exclusive_and_come_back() -> None:
    node = placer(gpus=3)
    first, _ = await place(node, pod(gpus=2))
    assert first is not None
    assert first.gpus == (0, 1)
    nothing, told = await place(node, pod(gpus="2"))
    assert nothing is None
    assert told == [
        "0/1 nodes are available: Insufficient nvidia.com/gpu (2 asked for, the machine has 3)"
    ]
    node.release(first)
    again, _ = await place(node, pod(gpus=3))
    assert again.gpus == (0, 1, 2)


async def test_a_port_is_itself_for_the_first_who_asks() -> None:
    node = placer()

    async def refused(message: str) -> None:
        raise AssertionError(message)

    first, second = [
        (await node.place(pod, [8080, 8882], refused, itself={8882})).ports for _ in range(2)
    ]
    assert first[8882] == 8882
    assert {first[8080], second[8080], second[8882]} == {100, 101, 102}


async def test_a_gpu_spec_gets_gpus_that_are_free() -> None:
    node = placer(gpus=1)
    wish = pod(**{USE_SPECS_ANNOTATION: "ecs.gn5-c4g1.xlarge"})
    first, _ = await place(node, wish)
    second, _ = await place(node, wish)
    plain, _ = await place(node, pod())
    assert [found.gpus for found in (first, second, plain)] == [(0,), (), ()]


async def test_the_node_takes_so_many_pods() -> None:
    node = placer(max_pods=1)
    await place(node, pod())
    assert (await place(node, pod()))[1] == ["0/1 nodes are available: the node has its 1 pods"]


async def test_a_placement_is_restored_from_the_pods_annotations() -> None:
    node = placer(gpus=1)
    placement, _ = await place(node, pod(gpus=1))
    other = placer(gpus=1)
    assert other.restore(pod(**placement.annotations())) == placement
    assert (await place(other, pod(gpus=1)))[0] is None


async def test_what_is_given_back_while_a_refusal_is_told_is_not_missed() -> None:
    node = placer(max_pods=1)
    first, _ = await place(node, pod())
    assert first is not None
    telling, told = asyncio.Event(), asyncio.Event()

    async def tell(_message: str) -> None:
        telling.set()
        await told.wait()

    async def ignore(_message: str) -> None: ...

    slow = asyncio.create_task(node.place(pod, [], tell))
    # Looks at the place that is given back, and cannot use it.
    hopeless = asyncio.create_task(node.place(lambda: pod(gpus=1), [], ignore))
    try:
        await telling.wait()
        node.release(first)
        await settle()
        told.set()
        async with asyncio.timeout(5):
            assert (await slow).spec == first.spec
    finally:
        slow.cancel()
        hopeless.cancel()


async def test_a_pod_waits_for_its_ports_and_holds_none_meanwhile() -> None:
    clock = VirtualClock()
    node = placer(ports=2, clock=clock)
    first, _ = await place(node, pod())
    assert first is not None
    told: list[str] = []

    async def tell(message: str) -> None:
        told.append(message)

    wide = asyncio.create_task(node.place(pod, [8080, 9090], tell))
    try:
        await settle()
        assert told == ["0/1 nodes are available: no free port between 100 and 101"]
        narrow, _ = await place(node, pod())
        assert narrow is not None
        for placement in (first, narrow):
            node.release(placement)
        await clock.advance(59)
        assert not wide.done()
        await clock.advance(20)
        assert sorted(wide.result().ports.values()) == [100, 101]
    finally:
        wide.cancel()
