"""A gateway with a real HAProxy on a real API, and the objects that other parts would write."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.clients import Answer, Request, fetch, send
from tests.gateway.pods import CountingPod, running_pod
from tests.support.api import RunningApi, running_api
from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.apis.serving import REVISIONS
from tidegate.gateway.assembly import Gateway, GatewaySettings, build
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.errors import NotFound
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Key, Object
from tidegate.kube.resources import ENDPOINT_SLICES, PODS, Resource

NAMESPACE = "default"


class World:
    """The gateway, its clients' view and its pods."""

    def __init__(self, api: RunningApi, settings: GatewaySettings, stack: AsyncExitStack) -> None:
        self.api = api
        self.client = api.client()
        self.settings = settings
        self.gateway: Gateway
        self.port = settings.port
        self._stack = stack
        self._task: asyncio.Task[None]
        self._endpoints: dict[str, dict[str, tuple[CountingPod, dict[str, bool]]]] = {}

    async def start(self) -> None:
        """Run a gateway's agent; it adopts the HAProxy that is there."""
        client = self.api.client("system:serviceaccount:tidegate-system:gateway")
        clock = SystemClock()
        context = Context(client, Informers(client, clock=clock), clock)
        self.gateway = build(context, self.settings)

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.gateway.run())
                group.create_task(context.informers.run())

        self._task = asyncio.create_task(run())
        ready = asyncio.create_task(self.gateway.wait_ready())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if not ready.done():
            ready.cancel()
            await self._task
            raise TimeoutError("the gateway did not become ready")

    async def end_agent(self) -> None:
        """End the agent; HAProxy goes on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def revision(self, name: str, *, limit: int = 0, **spec: Any) -> None:
        await self.client.create(
            REVISIONS,
            {
                "apiVersion": REVISIONS.api_version,
                "kind": "Revision",
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "annotations": spec.pop("annotations", {}),
                },
                "spec": {
                    "containerConcurrency": limit,
                    "containers": [{"name": "user-container", "image": "hello:1"}],
                    **spec,
                },
            },
        )

    async def route(
        self,
        name: str,
        splits: dict[str, int],
        *,
        hosts: tuple[str, ...] = (),
        tags: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        """A KIngress as a Route makes it; a second call changes it."""
        rules = [_rule(hosts or (f"{name}.default.localhost",), splits)]
        for tag, revision in (tags or {}).items():
            rules.append(_rule((f"{tag}-{name}.default.localhost",), {revision: 100}))
        obj: Object = {
            "apiVersion": KINGRESSES.api_version,
            "kind": KINGRESSES.kind,
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "annotations": annotations or {},
            },
            "spec": {"rules": rules},
        }
        try:
            known = await self.client.get(KINGRESSES, name, namespace=NAMESPACE)
        except NotFound:
            made = await self.client.create(KINGRESSES, obj)
        else:
            obj["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
            made = await self.client.update(KINGRESSES, obj)
        generation = made["metadata"].get("generation", 0)
        if wait:
            await self.api.eventually(lambda: self._is_routed(name, generation))

    async def _is_routed(self, name: str, generation: int) -> bool:
        status = (await self.get(KINGRESSES, name)).get("status") or {}
        return status.get("observedGeneration") == generation

    async def pod(self, revision: str, name: str, *, ready: bool = True) -> CountingPod:
        """A pod of its own that runs until the test ends, and its endpoint."""
        pod = await self._stack.enter_async_context(running_pod(name))
        await self.client.create(
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "labels": {"serving.knative.dev/revision": revision},
                },
                "spec": {"containers": [{"name": "user-container", "image": "hello:1"}]},
            },
        )
        await self.endpoint(revision, pod, ready=ready)
        return pod

    async def endpoint(
        self, revision: str, pod: CountingPod, *, ready: bool = True, gone: bool = False
    ) -> None:
        """What the EndpointSlice says of the pod."""
        name = f"{revision}-{pod.name}"
        if gone:
            await self.client.delete(ENDPOINT_SLICES, name, namespace=NAMESPACE)
            return
        piece: Object = {
            "apiVersion": ENDPOINT_SLICES.api_version,
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {
                    "kubernetes.io/service-name": f"{revision}-private",
                    "networking.internal.knative.dev/serviceType": "Private",
                    "serving.knative.dev/revision": revision,
                },
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": pod.port, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": ["127.0.0.1"],
                    "conditions": {"ready": ready, "serving": ready, "terminating": False},
                    "targetRef": {"kind": "Pod", "name": pod.name, "namespace": NAMESPACE},
                }
            ],
        }
        try:
            known = await self.client.get(ENDPOINT_SLICES, name, namespace=NAMESPACE)
        except NotFound:
            await self.client.create(ENDPOINT_SLICES, piece)
        else:
            piece["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
            await self.client.update(ENDPOINT_SLICES, piece)

    async def service(self, name: str, *, limit: int = 0, pods: int = 1) -> list[CountingPod]:
        """A revision, its route and pods that take requests."""
        await self.revision(f"{name}-00001", limit=limit)
        made = [await self.pod(f"{name}-00001", f"{name}-{letter}") for letter in "abcdefgh"[:pods]]
        await self.route(name, {f"{name}-00001": 100})
        await self.in_rotation(f"{name}-00001", pods)
        return made

    async def in_rotation(self, revision: str, number: int) -> None:
        """Wait until so many pods of the revision take requests."""

        def check() -> bool:
            plane = self.gateway._plane
            slot = plane.slots.of(Key(NAMESPACE, revision))
            servers = plane.servers.get(slot or "", {}).values()
            return (
                plane.is_settled and sum(not server.is_maintenance for server in servers) == number
            )

        await self.api.eventually(check)

    async def get(self, resource: Resource, name: str) -> Object:
        return await self.client.get(resource, name, namespace=NAMESPACE)

    async def fetch(self, service: str, path: str = "/headers", **options: Any) -> Answer:
        return await fetch(self.port, f"{service}.default.localhost", path, **options)

    async def send(self, service: str, path: str = "/headers", **options: Any) -> Request:
        request = await send(self.port, f"{service}.default.localhost", path, **options)
        self._stack.callback(request.leave, reset=True)
        return request

    async def leads_to(self, revision: str, pod: CountingPod) -> None:
        """Wait until the pod's server leads to the port the pod has now."""

        def check() -> bool:
            servers = self.gateway._plane.servers.values()
            ports = [server.port for proxy in servers for server in proxy.values()]
            return self.gateway._plane.is_settled and pod.port in ports

        await self.api.eventually(check)
        await self.in_rotation(revision, 1)

    async def working(self, *pods: CountingPod, requests: int = 1) -> None:
        """Wait until each of the pods works on so many requests."""
        await self.api.eventually(lambda: all(pod.active == requests for pod in pods))

    async def demand(self, revision: str, **wanted: int) -> None:
        """Wait until the revision's demand has these numbers."""

        def check() -> bool:
            demand = self.gateway.demand.snapshot(Key(NAMESPACE, revision))
            return demand is not None and all(
                getattr(demand, name) == value for name, value in wanted.items()
            )

        await self.api.eventually(check)


@asynccontextmanager
async def running_gateway(
    directory: Path, *, api: RunningApi | None = None, **options: Any
) -> AsyncIterator[World]:
    """A gateway on `api`, or on one of its own; HAProxy is ended with it."""
    small = {"limited_slots": 8, "unlimited_slots": 8, "stages": 16, "threads": 2}
    chosen = {"port": free_port(), **small, **options}
    settings = GatewaySettings(data_dir=directory, **chosen)
    async with AsyncExitStack() as stack:
        api = api or await stack.enter_async_context(running_api(directory))
        traffic = AsyncExitStack()
        world = World(api, settings, traffic)
        await world.start()
        try:
            yield world
        finally:
            await world.end_agent()
            # HAProxy would give what is in flight some seconds.
            await traffic.aclose()
            await world.gateway.stop_proxy()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _rule(hosts: tuple[str, ...], splits: dict[str, int]) -> Object:
    return {
        "hosts": list(hosts),
        "visibility": "ExternalIP",
        "http": {
            "paths": [
                {
                    "splits": [
                        {
                            "serviceName": revision,
                            "serviceNamespace": NAMESPACE,
                            "servicePort": 80,
                            "percent": percent,
                        }
                        for revision, percent in splits.items()
                    ]
                }
            ]
        },
    }
