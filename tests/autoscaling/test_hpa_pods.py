"""A real pod that burns CPU gets company, and loses it again when it has been quiet for long.

What is measured is real; the windows of the policy pass in virtual time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from tests.autoscaling.support import GATEWAY, ManualDemand, pod_autoscaler
from tests.node.images import make_image
from tests.node.running import READINESS, pid_of, stage
from tests.support.tokens import token_issuer
from tests.support.virtual_clock import VirtualClock
from tidegate.apis.autoscaling import HPA_CLASS, POD_AUTOSCALERS
from tidegate.apiserver.metrics import Metrics
from tidegate.autoscaling.assembly import build as build_autoscaler
from tidegate.autoscaling.views import DRAIN, DRAINED, REVISION_LABEL
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.objects import annotations_of, is_condition_true, is_deleting, name_of
from tidegate.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from tidegate.node.usage import UsageMeter
from tidegate.workloads.assembly import build as build_workloads

NAME = "burner-00001"
BURNER = """
import os, signal, socket, sys, time

burning = True

def stop(*_):
    global burning
    burning = False

signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
# Ready when the signals are understood.
door = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while burning:
    sum(range(1000))
while True:
    time.sleep(3600)
"""


def _deployment():
    labels = {REVISION_LABEL: NAME}
    resources = {"requests": {"cpu": "20m"}}
    container = {"name": "main", "image": "burner", "resources": resources, **READINESS}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{NAME}-deployment", "namespace": "default", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
            },
        },
    }


@pytest.mark.timeout(400)
async def test_a_pod_that_burns_is_scaled_up_and_down_again(tmp_path):
    async with stage(tmp_path) as theatre, asyncio.TaskGroup() as group:
        make_image(theatre.images, "burner", program=BURNER)
        clock = VirtualClock(start=time.time())
        theatre.start()
        tasks = []

        def start(user, on_clock, builder):
            informers = Informers(theatre.api.client(user), clock=on_clock)
            context = Context(theatre.api.client(user), informers, on_clock)
            parts = builder(context)
            tasks.extend(group.create_task(part.run()) for part in (informers, *parts))

        collected = (PODS, DEPLOYMENTS, REPLICA_SETS)
        sign = token_issuer(tmp_path, SystemClock()).issue_for_secret
        start(
            "system:kube-controller-manager",
            SystemClock(),
            lambda context: build_workloads(context, collected=collected, root_ca="pem", sign=sign),
        )
        metrics = Metrics(theatre.api.api.view)
        for spec in metrics.specs():
            theatre.api.api.registry.add(spec)

        def build_meter(context):
            metrics.source = UsageMeter("tidegate", context.informers.of(PODS), clock=context.clock)
            return [metrics.source]

        start("system:node:tidegate", clock, build_meter)
        start("autoscaler", clock, lambda context: build_autoscaler(context, ManualDemand()))

        client = theatre.client
        await client.create(DEPLOYMENTS, _deployment())
        annotations = {"class": HPA_CLASS, "target": "50", "max_scale": "3"}
        await client.create(POD_AUTOSCALERS, pod_autoscaler(NAME, **annotations))

        async def pods():
            found = (await client.list(PODS, namespace="default")).items
            return [pod for pod in found if not is_deleting(pod)]

        async def ready(count):
            found = await pods()
            return len(found) == count and all(is_condition_true(p, "Ready") for p in found)

        async def replicas():
            found = await client.get(DEPLOYMENTS, f"{NAME}-deployment", namespace="default")
            return found["spec"]["replicas"]

        await theatre.api.eventually(lambda: ready(1), timeout=60)

        async def step():
            # Of the three looks that the meter keeps, the first must be a real second old.
            await asyncio.sleep(0.5)
            await clock.advance(15)

        async def grown():
            await step()
            return await replicas() == 3

        # Its first five minutes are those of a start, for which its CPU does not count.
        await clock.advance(300)
        await theatre.api.eventually(grown, timeout=100)
        await theatre.api.eventually(lambda: ready(3), timeout=60)
        for pod in await pods():
            os.kill(pid_of(pod), signal.SIGUSR1)

        draining = []

        async def quiet():
            await step()
            draining[:] = [pod for pod in await pods() if annotations_of(pod).get(DRAIN)]
            return len(draining) == 2

        quiet_since = clock.time()
        await theatre.api.eventually(quiet, timeout=100)
        assert clock.time() - quiet_since >= 285
        assert await replicas() == 3
        for pod in draining:
            patch = {"metadata": {"annotations": {DRAINED: GATEWAY}}}
            await client.patch(PODS, name_of(pod), patch, namespace="default")
        await theatre.api.eventually(lambda: ready(1), timeout=60)
        assert await replicas() == 1
        for task in tasks:
            task.cancel()
