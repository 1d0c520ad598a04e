"""Two gateways before one autoscaler: demand is summed, and a pod is drained when both say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest_asyncio

from tests.autoscaling.support import pod_autoscaler
from tests.gateway.clients import Request, send
from tests.gateway.world import NAMESPACE, World, running_gateway
from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.apis.demand import Demand
from tidegate.autoscaling.assembly import build as build_autoscaler
from tidegate.autoscaling.gateways import Gateways
from tidegate.autoscaling.views import pod_view
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Key, annotations_of
from tidegate.kube.resources import DEPLOYMENTS, PODS

SD = Key(NAMESPACE, "sd-00001")


class Pair:
    """Two gateways on one API; the second leaves the status of routes to the first."""

    def __init__(self, first: World, second: World) -> None:
        self.first, self.second = first, second
        self.demand = Gateways((first.gateway.demand, second.gateway.demand), SystemClock())

    async def send(self, world: World, path: str) -> Request:
        return await send(world.port, "sd.default.localhost", path)

    async def sees(self, **wanted: int) -> Demand:
        """Wait until the sum has these numbers."""

        def check() -> bool:
            found = self.demand.snapshot(SD)
            return found is not None and all(
                getattr(found, name) == value for name, value in wanted.items()
            )

        await self.first.api.eventually(check)
        found = self.demand.snapshot(SD)
        assert found is not None
        return found


@pytest_asyncio.fixture
async def pair(world: World, tmp_path: Path) -> AsyncIterator[Pair]:
    async with running_gateway(
        tmp_path / "second", api=world.api, name="second", reports=False
    ) as second:
        yield Pair(world, second)


@asynccontextmanager
async def _autoscaler(pair: Pair) -> AsyncIterator[None]:
    client = pair.first.api.client("autoscaler")
    informers = Informers(client, clock=SystemClock())
    parts = build_autoscaler(Context(client, informers, SystemClock()), pair.demand)
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        for part in (informers, *parts):
            stack.callback(group.create_task(part.run()).cancel)
        yield


async def test_the_sum_of_what_is_held_makes_the_pods(pair: Pair) -> None:
    world = pair.first
    labels = {"serving.knative.dev/revision": SD.name}
    await world.client.create(
        DEPLOYMENTS,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": f"{SD.name}-deployment",
                "namespace": NAMESPACE,
                "labels": labels,
            },
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "app", "image": "app:1"}]},
                },
            },
        },
    )
    autoscaler = pod_autoscaler(
        SD.name,
        initial_scale="0",
        target_utilization_percentage="100",
    )
    await world.client.create(POD_AUTOSCALERS, autoscaler)
    await world.revision(SD.name, limit=1)
    await world.route("sd", {SD.name: 100})
    await world.api.eventually(lambda: pair.second.gateway._plane.slots.of(SD) is not None)

    async with _autoscaler(pair):
        requests = [await pair.send(pair.first, "/a")]
        requests += [await pair.send(pair.second, f"/b?n={n}") for n in range(2)]
        await pair.sees(held=3)

        async def scaled() -> bool:
            found = await world.client.get(
                DEPLOYMENTS, f"{SD.name}-deployment", namespace=NAMESPACE
            )
            return found["spec"]["replicas"] == 3

        await world.api.eventually(scaled)
    for request in requests:
        request.leave(reset=True)


async def test_a_pods_requests_are_summed_and_both_gateways_must_have_drained_it(
    pair: Pair,
) -> None:
    world = pair.first
    (pod,) = await world.service("sd")
    await pair.second.in_rotation(SD.name, 1)
    here = await pair.send(pair.first, "/hold?from=first")
    there = await pair.send(pair.second, "/hold?from=second")
    await world.working(pod, requests=2)
    summed = await pair.sees(in_flight=2)
    assert [(load.name, load.in_flight) for load in summed.pods] == [(pod.name, 2)]

    here.leave(reset=True)
    await pair.first.demand(SD.name, in_flight=0)
    await world.client.patch(
        PODS,
        pod.name,
        {"metadata": {"annotations": {"tidegate.dev/drain": "true"}}},
        namespace=NAMESPACE,
    )
    await world.api.eventually(lambda: _drained_by(world, pod.name, "gateway"))
    assert not pod_view(await world.get(PODS, pod.name), gateways=pair.demand.gateways).drained

    pod.released.set()
    assert (await there.answer()).status == 200
    await world.api.eventually(lambda: _drained_by(world, pod.name, "gateway,second"))
    assert pod_view(await world.get(PODS, pod.name), gateways=pair.demand.gateways).drained


async def test_a_session_without_a_limit_finds_its_pod_through_either_gateway(pair: Pair) -> None:
    world = pair.first
    await world.revision(SD.name)
    for letter in "abc":
        await world.pod(SD.name, f"sd-{letter}")
    affinity = {"affinity": "cookie", "cookie-name": "sd", "cookie-timeout": "1800"}
    keyed = {f"serving.knative.dev.alibabacloud/{key}": text for key, text in affinity.items()}
    await world.route("sd", {SD.name: 100}, annotations=keyed)
    for each in (pair.first, pair.second):
        await each.in_rotation(SD.name, 3)
    first = await pair.first.fetch("sd")
    session = {"Cookie": first.headers["set-cookie"].partition(";")[0]}
    for each in (pair.first, pair.second) * 6:
        assert (await each.fetch("sd", headers=session)).pod == first.pod


async def _drained_by(world: World, pod: str, names: str) -> bool:
    return annotations_of(await world.get(PODS, pod)).get("tidegate.dev/drained") == names
