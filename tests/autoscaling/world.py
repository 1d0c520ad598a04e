"""The autoscaler and the workload controllers on a real API, with what they meet played by hand."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.autoscaling.support import GATEWAY, REVISION, ManualDemand, demand, pod_autoscaler
from tests.support.api import running_api
from tests.support.tokens import token_issuer
from tests.support.virtual_clock import VirtualClock
from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.autoscaling.assembly import build
from tidegate.autoscaling.views import DRAIN, DRAINED
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.objects import annotations_of, is_deleting, name_of
from tidegate.kube.resources import (
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
