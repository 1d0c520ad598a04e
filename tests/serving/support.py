"""The serving controllers on a real embedded API, and hands that write what other parts would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.api import RunningApi, running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.apis import autoscaling, networking, serving
from tidegate.apis.settings import ADMISSION, Settings
from tidegate.apiserver.registry.registry import Registry
from tidegate.kube.controller import Context
from tidegate.kube.errors import NotFound
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Object, condition_of, thaw
from tidegate.kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, Resource
from tidegate.serving.assembly import ServingSettings, build
from tidegate.serving.revisions.deployment import deployment_name

NAMESPACE = "default"


def service(name: str = "hello", **template_spec: Any) -> Object:
    """A small Knative Service; keywords go into the template's spec."""
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "template": {
                "metadata": {"annotations": {}},
                "spec": {"containers": [{"image": "hello:1"}], **template_spec},
            }
        },
    }


def condition(status: str, reason: str = "", message: str = "") -> Object:
    return {"status": status, "reason": reason, "message": message}


class Cluster:
    """What a test does to the cluster and sees of it."""

    def __init__(self, api: RunningApi, clock: VirtualClock) -> None:
        self.api = api
        self.clock = clock
        self.client = api.client()

    async def settle(self) -> None:
        """Let the controllers do all they can without time passing but their retries."""
        for _ in range(4):
            await self.api.settle()
            await self.clock.advance(0.2)
        await self.api.settle()

    async def get(self, resource: Resource, name: str) -> Object:
        return await self.client.get(resource, name, namespace=NAMESPACE)

    async def exists(self, resource: Resource, name: str) -> bool:
        try:
            await self.get(resource, name)
        except NotFound:
            return False
        return True

    async def names(self, resource: Resource) -> list[str]:
        listing = await self.client.list(resource, namespace=NAMESPACE)
        return sorted(item["metadata"]["name"] for item in listing.items)

    async def apply(self, resource: Resource, obj: Object) -> None:
        """Create, or replace the spec of what is there."""
        name = obj["metadata"]["name"]
        if await self.exists(resource, name):
            live = thaw(await self.get(resource, name))
            live["spec"] = obj["spec"]
            live["metadata"].update(obj["metadata"])
            await self.client.update(resource, live)
        else:
            await self.client.create(resource, obj)
        await self.settle()

    async def change(self, resource: Resource, name: str, patch: Object) -> None:
        """Merge-patch an object and let the controllers follow."""
        await self.client.patch(resource, name, patch, namespace=NAMESPACE)
        await self.settle()

    async def write_status(self, resource: Resource, name: str, status: Object) -> None:
        """What the owner of a status would write."""
        await self.client.patch(
            resource, name, {"status": status}, namespace=NAMESPACE, subresource="status"
        )
        await self.settle()

    async def autoscaler_says(
        self, revision: str, *, active: str = "True", initialized: str = "True", scale: int = 1
    ) -> None:
        """What an autoscaler writes into a PodAutoscaler."""
        reasons = {"True": ("", ""), "False": ("NoTraffic", "The target is not receiving traffic.")}
        reason, message = reasons.get(active, ("Queued", "Requests are waiting."))
        await self.write_status(
            autoscaling.POD_AUTOSCALERS,
            revision,
            {
                "conditions": [
                    {"type": "Active", **condition(active, reason, message)},
                    {"type": "ScaleTargetInitialized", **condition(initialized)},
                ],
                "desiredScale": scale,
                "actualScale": scale,
            },
        )

    async def deployment_says(self, revision: str, *, available: int, **status: Any) -> None:
        """What the deployment controller writes."""
        replicas = {"replicas": available, "availableReplicas": available}
        await self.write_status(DEPLOYMENTS, deployment_name(revision), {**replicas, **status})

    async def becomes_ready(self, revision: str) -> None:
        """A Revision's first pod is ready."""
        await self.deployment_says(revision, available=1)
        await self.autoscaler_says(revision)

    async def gateway_serves(self, name: str) -> None:
        """The gateways have taken over an Ingress as it is now."""
        ingress = await self.get(networking.INGRESSES, name)
        await self.write_status(
            networking.INGRESSES,
            name,
            {
                "observedGeneration": ingress["metadata"]["generation"],
                "conditions": [
                    {"type": kind, **condition("True")}
                    for kind in ("LoadBalancerReady", "NetworkConfigured", "Ready")
                ],
            },
        )

    async def pod_fails(self, revision: str, container_status: Object, **pod_status: Any) -> None:
        """A pod of a Revision whose container is in trouble."""
        owner = await self.get(serving.REVISIONS, revision)
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{revision}-pod",
                "namespace": NAMESPACE,
                "labels": {serving.REVISION_LABEL: owner["metadata"]["name"]},
            },
            "spec": {"containers": [{"name": "user-container", "image": "hello:1"}]},
        }
        await self.client.create(PODS, pod)
        status = {"containerStatuses": [{"name": "user-container", **container_status}]}
        await self.write_status(PODS, f"{revision}-pod", {**status, **pod_status})

    async def deploy(self, obj: Object, *, revision: int = 1) -> None:
        """Apply a Service and let its Revision and Route become ready."""
        name = obj["metadata"]["name"]
        await self.apply(serving.SERVICES, obj)
        await self.becomes_ready(f"{name}-{revision:05d}")
        await self.gateway_serves(name)

    async def set_config(self, name: str, data: dict[str, str]) -> None:
        """Edit a ConfigMap of knative-serving."""
        await self.client.patch(CONFIG_MAPS, name, {"data": data}, namespace="knative-serving")
        await self.settle()

    async def ready(self, resource: Resource, name: str) -> tuple[str, str]:
        """Status and reason of Ready."""
        found = condition_of(await self.get(resource, name), "Ready") or {}
        return found.get("status", ""), found.get("reason", "")


@asynccontextmanager
async def running_serving(
    directory: Path, settings: ServingSettings | None = None, *, registry: Registry | None = None
) -> AsyncIterator[Cluster]:
    """Serving on an API of its own, in virtual time."""
    clock = VirtualClock()
    ADMISSION.current = Settings()
    async with running_api(directory, clock, registry=registry) as api:
        client = api.client("system:serviceaccount:knative-serving:controller")
        context = Context(client, Informers(client, clock=clock), clock)
        runnables = build(context, settings=settings or ServingSettings())
        cluster = Cluster(api, clock)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(context.informers.run())]
            tasks += [group.create_task(runnable.run()) for runnable in runnables]
            await cluster.settle()
            try:
                yield cluster
            finally:
                for task in tasks:
                    task.cancel()
    ADMISSION.current = Settings()
