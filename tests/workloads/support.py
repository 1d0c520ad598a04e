"""The controllers of the room on a real embedded API, and a node that runs no programs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

from tests.support.api import running_api
from tests.support.tokens import token_issuer
from tests.support.virtual_clock import VirtualClock
from tidegate.apiserver.customkinds import CustomKinds
from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.objects import is_deleting, name_of
from tidegate.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from tidegate.workloads.assembly import build

ROOT_CA = "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"
COLLECTED = (
    NAMESPACES,
    PODS,
    SERVICES,
    ENDPOINTS,
    CONFIG_MAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
    ENDPOINT_SLICES,
    EVENTS,
)


class World:
    """What a test does and sees."""

    def __init__(self, api, clock, tokens):
        self.api = api
        self.tokens = tokens
        self.clock = clock
        self.client = api.client()

    async def settle(self):
        await self.api.settle()

    async def advance(self, seconds):
        await self.settle()
        await self.clock.advance(seconds)
        await self.settle()

    async def pods(self, selector=""):
        return (await self.client.list(PODS, namespace="default", label_selector=selector)).items

    async def names(self, resource, namespace="default"):
        return {name_of(o) for o in (await self.client.list(resource, namespace=namespace)).items}

    async def run_pods(self, pods=None, *, ready=True, ports=None):
        """What the node does: give the pods an address and say that they are ready."""
        for pod in await self.pods() if pods is None else pods:
            if is_deleting(pod):
                continue
            await self.mark(pod, ready=ready, port=(ports or {}).get(name_of(pod)))
        await self.settle()

    async def mark(self, pod, *, ready=True, port=None):
        if port is not None:
            annotations = {"tidegate.dev/ports": json.dumps({"8080": port})}
            await self.client.patch(
                PODS,
                name_of(pod),
                {"metadata": {"annotations": annotations}},
                namespace="default",
            )
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "lastTransitionTime": rfc3339(self.clock.time()),
        }
        status = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [condition]}
        await self.client.patch(
            PODS, name_of(pod), {"status": status}, namespace="default", subresource="status"
        )

    async def get(self, resource, name):
        return await self.client.get(resource, name, namespace="default")


@asynccontextmanager
async def running_controllers(directory, clock=None, *, authorizer=None):
    """The controllers at work; with the virtual clock unless told otherwise."""
    clock = clock or VirtualClock()
    async with running_api(directory, clock, authorizer=authorizer) as api:
        client = api.client("system:kube-controller-manager")
        informers = Informers(client, clock=clock)
        context = Context(client, informers, clock)
        tokens = token_issuer(directory, clock)
        runnables = build(
            context, collected=COLLECTED, root_ca=ROOT_CA, sign=tokens.issue_for_secret
        )
        runnables.append(CustomKinds(api.api.registry, context).controller)
        tasks = [asyncio.create_task(informers.run())]
        tasks += [asyncio.create_task(runnable.run()) for runnable in runnables]
        try:
            world = World(api, clock, tokens)
            await world.settle()
            yield world
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def deployment(name="web", replicas=3, image="app:1", **spec):
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
            **spec,
        },
    }
