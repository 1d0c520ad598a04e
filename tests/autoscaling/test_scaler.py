"""The controller on a real API with the workload controllers: demand in, pods up and down."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from tests.autoscaling.support import GATEWAY, REVISION, ManualDemand, demand, pod_autoscaler
from tests.support.api import running_api
from tests.support.tokens import token_issuer
from tests.support.virtual_clock import VirtualClock
from tidegate.apis.autoscaling import KPA_CLASS, POD_AUTOSCALERS
from tidegate.autoscaling.assembly import build
from tidegate.kube.clock import SystemClock, rfc3339
from tidegate.kube.controller import Context
from tidegate.kube.errors import BadRequest
from tidegate.kube.informer import Informers
from tidegate.kube.objects import annotations_of, condition_of, is_deleting, name_of
from tidegate.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    EVENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
from tidegate.workloads.assembly import build as build_workloads

COLLECTED = (NAMESPACES, PODS, SERVICES, DEPLOYMENTS, REPLICA_SETS, ENDPOINT_SLICES, EVENTS)
NAME = REVISION.name
DRAIN, DRAINED = "tidegate.dev/drain", "tidegate.dev/drained"


class World:
    """What a test does; the node and the gateway are played by hand."""

    def __init__(self, api, clock):
        self.api = api
        self.clock = clock
        self.client = api.client()
        self.demand = ManualDemand()
        self._tasks = []

    def start(self, builder, user):
        client = self.api.client(user)
        informers = Informers(client, clock=self.clock)
        runnables = builder(Context(client, informers, self.clock))
        tasks = [asyncio.create_task(informers.run())]
        tasks += [asyncio.create_task(runnable.run()) for runnable in runnables]
        self._tasks += tasks
        return tasks

    def start_autoscaler(self):
        return self.start(lambda context: build(context, self.demand), "autoscaler")

    async def stop(self, tasks=None):
        tasks = self._tasks if tasks is None else tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self):
        await self.api.settle()

    async def advance(self, seconds):
        await self.settle()
        await self.clock.advance(seconds)
        await self.settle()

    async def say(self, total, **fields):
        self.demand.say(demand(total, **fields))
        await self.settle()

    async def revision(self, *, replicas=1, deadline=600, requests=None, **fields):
        labels = {"serving.knative.dev/revision": NAME}
        resources = {"requests": requests or {}}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": f"{NAME}-deployment",
                "namespace": "default",
                "labels": labels,
            },
            "spec": {
                "replicas": replicas,
                "progressDeadlineSeconds": deadline,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "nodeName": "tidegate",
                        "containers": [{"name": "app", "image": "app:1", "resources": resources}],
                    },
                },
            },
        }
        await self.client.create(DEPLOYMENTS, deployment)
        await self.client.create(POD_AUTOSCALERS, pod_autoscaler(NAME, **fields))
        await self.settle()

    async def replicas(self):
        found = await self.client.get(DEPLOYMENTS, f"{NAME}-deployment", namespace="default")
        return found["spec"]["replicas"]

    async def autoscaler(self):
        return await self.client.get(POD_AUTOSCALERS, NAME, namespace="default")

    async def pods(self):
        found = (await self.client.list(PODS, namespace="default")).items
        return {name_of(pod): pod for pod in found if not is_deleting(pod)}

    async def draining(self):
        return {n for n, p in (await self.pods()).items() if annotations_of(p).get(DRAIN)}

    async def make_ready(self, names=None):
        condition = {
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": rfc3339(self.clock.time()),
        }
        status = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [condition]}
        for name in names or await self.pods():
            await self.client.patch(
                PODS, name, {"status": status}, namespace="default", subresource="status"
            )
        await self.settle()

    async def drained(self, *names):
        for name in names or sorted(await self.draining()):
            patch = {"metadata": {"annotations": {DRAINED: GATEWAY}}}
            await self.client.patch(PODS, name, patch, namespace="default")
        await self.settle()


@asynccontextmanager
async def world_of(directory, clock=None):
    clock = clock or VirtualClock()
    async with running_api(directory, clock) as api:
        world = World(api, clock)
        sign = token_issuer(directory, clock).issue_for_secret
        world.start(
            lambda context: build_workloads(context, collected=COLLECTED, root_ca="pem", sign=sign),
            "system:kube-controller-manager",
        )
        world.scaler = world.start_autoscaler()
        try:
            await world.settle()
            yield world
        finally:
            await world.stop()


EXACT = {"target_utilization_percentage": "100", "max_scale": "10"}


async def _busy(world: World, demand: int) -> list[str]:
    """The ready pods of a revision with so many requests, one for each."""
    await world.revision(**EXACT)
    await world.make_ready()
    await world.say(demand)
    await world.make_ready()
    return sorted(await world.pods())


async def test_a_new_revision_proves_itself_and_goes_to_zero_after_window_and_grace(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(replicas=0, **EXACT)
        assert await world.replicas() == 1
        found = await world.autoscaler()
        assert condition_of(found, "Active")["reason"] == "Queued"
        assert condition_of(found, "ScaleTargetInitialized")["status"] == "Unknown"
        await world.advance(20)
        await world.make_ready()
        found = await world.autoscaler()
        assert condition_of(found, "Ready")["status"] == "True"
        assert (found["status"]["desiredScale"], found["status"]["actualScale"]) == (1, 1)
        assert found["status"]["metricsServiceName"] == f"{NAME}-private"
        await world.advance(89)
        assert await world.draining() == set()
        await world.advance(1)
        assert len(await world.draining()) == 1
        assert await world.replicas() == 1
        await world.drained()
        assert await world.replicas() == 0
        found = await world.autoscaler()
        assert condition_of(found, "Active")["reason"] == "NoTraffic"
        assert condition_of(found, "ScaleTargetInitialized")["status"] == "True"
        assert found["status"]["desiredScale"] == 0


async def test_demand_is_answered_at_once_and_a_fall_after_the_window(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(**EXACT)
        await world.make_ready()
        await world.say(5)
        assert await world.replicas() == 5
        await world.say(50)
        assert await world.replicas() == 10
        await world.make_ready()
        pods = sorted(await world.pods())
        await world.advance(30)
        await world.say(2, pods={pods[0]: 1, pods[1]: 1})
        await world.advance(59)
        assert await world.draining() == set()
        await world.advance(1)
        assert await world.draining() == set(pods[2:])
        await world.drained(*pods[2:6])
        assert await world.replicas() == 6
        assert set(pods) - set(await world.pods()) == set(pods[2:6])
        await world.drained(*pods[6:])
        assert await world.replicas() == 2
        assert set(await world.pods()) == set(pods[:2])


async def test_demand_that_returns_takes_draining_pods_back(tmp_path):
    async with world_of(tmp_path) as world:
        pods = await _busy(world, 4)
        await world.say(1, pods={pods[0]: 1})
        await world.advance(60)
        assert await world.draining() == set(pods[1:])
        await world.say(6, pods={pods[0]: 1})
        assert await world.draining() == set()
        assert await world.replicas() == 6
        assert set(pods) < set(await world.pods())
        for pod in (await world.pods()).values():
            assert "controller.kubernetes.io/pod-deletion-cost" not in annotations_of(pod)


async def test_a_fall_takes_pods_whose_sessions_have_ended_first(tmp_path):
    async with world_of(tmp_path) as world:
        pods = await _busy(world, 4)
        start = world.clock.monotonic()
        # One ends before the window does, two are fresh beyond it.
        sessions = {pods[1]: start + 50, pods[2]: start + 500, pods[3]: start + 400}
        idle = dict.fromkeys(pods, 0)
        await world.say(2, pods={**idle, pods[2]: 1}, sessions=sessions)
        await world.advance(60)
        assert await world.draining() == {pods[0], pods[1]}
        await world.drained()
        await world.say(1, pods={pods[2]: 0, pods[3]: 0}, sessions=sessions)
        await world.advance(60)
        assert await world.draining() == {pods[3]}


async def test_a_pod_that_still_works_outlives_those_that_are_empty(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(concurrency=4, **EXACT)
        await world.make_ready()
        await world.say(12)
        await world.make_ready()
        busy, *others = sorted(await world.pods())
        await world.say(3, pods={busy: 1, others[0]: 1, others[1]: 1})
        await world.advance(60)
        draining = await world.draining()
        assert len(draining) == 2
        first, last = sorted(draining)
        for name, rest in ((last, 2), (first, 1)):
            await world.drained(name)
            assert await world.replicas() == rest
            assert name not in await world.pods()


async def test_loading_pods_count_as_coming(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(**EXACT)
        await world.make_ready()
        await world.say(3, held=3)
        for _ in range(5):
            await world.advance(1)
            await world.say(3, held=3)
        assert await world.replicas() == 3


async def test_after_a_restart_the_scale_stays_for_a_window_and_drains_go_on(tmp_path):
    async with world_of(tmp_path) as world:
        pods = await _busy(world, 5)
        await world.say(1, pods={pods[0]: 1})
        await world.advance(50)
        await world.stop(world.scaler)
        world.scaler = world.start_autoscaler()
        await world.advance(59)
        assert await world.draining() == set()
        await world.advance(1)
        draining = await world.draining()
        assert draining == set(pods[1:])
        await world.stop(world.scaler)
        await world.drained(*draining)
        world.scaler = world.start_autoscaler()
        await world.settle()
        assert await world.replicas() == 1
        assert set(await world.pods()) == {pods[0]}


async def test_a_revision_that_never_starts_is_given_up(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(deadline=60, **EXACT)
        await world.advance(89)
        assert await world.draining() == set()
        await world.advance(2)
        await world.drained()
        assert await world.replicas() == 0
        found = await world.autoscaler()
        assert condition_of(found, "Active")["reason"] == "TimedOut"


async def test_the_config_map_is_honoured_live(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(**EXACT)
        await world.make_ready()
        await world.say(0)
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "config-autoscaler", "namespace": "knative-serving"},
            "data": {"stable-window": "6s", "scale-to-zero-grace-period": "4s"},
        }
        await world.client.create(CONFIG_MAPS, config)
        await world.advance(9)
        assert await world.draining() == set()
        await world.advance(1)
        await world.drained()
        assert await world.replicas() == 0
        with pytest.raises(BadRequest, match="min-scale"):
            await world.client.patch(
                CONFIG_MAPS,
                "config-autoscaler",
                {"data": {"min-scale": "many"}},
                namespace="knative-serving",
            )
        await world.settle()
        assert await world.replicas() == 0
        await world.client.patch(
            CONFIG_MAPS,
            "config-autoscaler",
            {"data": {"min-scale": "2"}},
            namespace="knative-serving",
        )
        await world.settle()
        assert await world.replicas() == 2


async def test_an_annotation_that_cannot_be_used_is_told(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(window="soon", **EXACT)
        events = (await world.client.list(EVENTS, namespace="default")).items
        told = [event["message"] for event in events if event["reason"] == "InvalidAnnotation"]
        assert len(told) == 1
        assert "autoscaling.knative.dev/window" in told[0]


async def test_another_class_is_left_alone(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(replicas=3, **{"class": "other.example.com"})
        await world.say(9)
        assert await world.replicas() == 3
        assert not (await world.autoscaler()).get("status")


async def test_kpa_answers_a_held_request_at_once(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(concurrency=10, **{"class": KPA_CLASS})
        await world.make_ready()
        await world.advance(91)
        await world.drained()
        assert await world.replicas() == 0
        await world.say(25, held=25)
        assert await world.replicas() == 4


async def test_from_demand_to_the_scale_takes_milliseconds(tmp_path):
    async with world_of(tmp_path, SystemClock()) as world:
        await world.revision(min_scale="1", **EXACT)
        await world.api.eventually(lambda: _has_pods(world, 1))
        await world.make_ready()
        took = []
        deployments = world.api.client()
        for wanted in range(2, 11):
            listing = await deployments.list(DEPLOYMENTS)
            async with deployments.watch(
                DEPLOYMENTS, resource_version=listing.resource_version
            ) as events:
                begun = time.perf_counter()
                world.demand.say(demand(wanted))
                async for event in events:
                    if event.object["spec"]["replicas"] == wanted:
                        break
                took.append(time.perf_counter() - begun)
            await world.settle()
        median = sorted(took)[len(took) // 2]
        print(f"demand to scale: median {median * 1000:.1f} ms, most {max(took) * 1000:.1f} ms")
        assert median < 0.02


async def _has_pods(world, count):
    return len(await world.pods()) >= count
