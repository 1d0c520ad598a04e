"""A console on a real API that holds a service with revisions, pods and events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.api import RunningApi, running_api
from tests.support.requests import Answer, Waiting
from tidegate.apis.serving import REVISIONS, SERVICES
from tidegate.console.assembly import Console, ConsoleSettings, build
from tidegate.kube.clock import Clock, SystemClock, rfc3339
from tidegate.kube.controller import Context
from tidegate.kube.errors import NotFound
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Object
from tidegate.kube.resources import DEPLOYMENTS, EVENTS, PODS
from tidegate.observability.assembly import Observability
from tidegate.observability.assembly import build as build_observability


@dataclass(frozen=True)
class Used:
    """What a pod has used."""

    namespace: str
    pod: str
    seconds: float
    cost: float
    running: bool
    spec: str = "ecs.gn5-c4g1.xlarge"
    started: float = 0.0


class Gateway:
    """Tells of the requests and loads that a test gives it."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Sequence[Any]], None]] = []
        self._loads: asyncio.Queue[Waiting] = asyncio.Queue()

    def subscribe_requests(self, subscriber: Callable[[Sequence[Any]], None]) -> Callable[[], None]:
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[Waiting]]:
        async def read() -> AsyncIterator[Waiting]:
            while True:
                yield await self._loads.get()

        yield read()

    def answer(self, *answers: Answer) -> None:
        for subscriber in self._subscribers:
            subscriber(answers)

    def load(self, load: Waiting) -> None:
        self._loads.put_nowait(load)


@dataclass(frozen=True)
class Requests:
    """The gateway as a source of requests."""

    gateway: Gateway

    def subscribe(self, subscriber: Callable[[Sequence[Any]], None]) -> Callable[[], None]:
        return self.gateway.subscribe_requests(subscriber)


class Logs:
    """The logs that a test gives it; followed until the test ends them."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def stream(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        follow: bool = False,
        tail_lines: int | None = None,  # noqa: ARG002 - LogReader
    ) -> AsyncGenerator[bytes]:
        if pod == "gone":
            raise NotFound(f'pods "{pod}" not found')
        yield f"{container} of {namespace}/{pod}\n".encode()
        while follow and (piece := await self.pieces.get()) is not None:
            yield piece


@dataclass
class World:
    """Everything a test wants to hold on to."""

    api: RunningApi
    console: Console
    observability: Observability
    gateway: Gateway
    logs: Logs
    usages: list[Used] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.console.url.rstrip("/")

    @property
    def token(self) -> str:
        return self.console.login_url.partition("?token=")[2]


@asynccontextmanager
async def running_console(
    directory: Path, *, clock: Clock | None = None, port: int = 0
) -> AsyncIterator[World]:
    """A console that serves on a port of its own."""
    async with running_api(directory) as api:
        time = clock or SystemClock()
        client = api.client("system:serviceaccount:tidegate-system:console")
        context = Context(client, Informers(client, clock=time), time)
        gateway, logs = Gateway(), Logs()
        usages: list[Used] = []
        observability = build_observability(context, requests=Requests(gateway), loads=gateway)
        console = build(
            context,
            ConsoleSettings(directory / "console-token", port=port),
            observability=observability,
            usages=lambda: usages,
            logs=logs,
        )
        async with asyncio.TaskGroup() as group:
            parts = (context.informers, observability, console)
            tasks = [group.create_task(part.run()) for part in parts]
            await console.wait_ready()
            yield World(api, console, observability, gateway, logs, usages)
            for task in tasks:
                task.cancel()


def conditions(*states: tuple[str, str, str, str], at: float) -> list[Object]:
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": rfc3339(at),
        }
        for kind, status, reason, message in states
    ]


async def add(api: RunningApi, resource: Any, obj: Object) -> Object:
    """Create an object with its status."""
    client = api.client()
    made = await client.create(resource, {k: v for k, v in obj.items() if k != "status"})
    if "status" in obj:
        made = await client.update(
            resource, {**made, "status": obj["status"]}, subresource="status"
        )
    return made


def service(name: str, *, ready: str = "True", message: str = "", latest: str = "") -> Object:
    latest = latest or f"{name}-00001"
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "template": {
                "metadata": {"annotations": {"autoscaling.knative.dev/maxScale": "10"}},
                "spec": {"containerConcurrency": 1, "containers": [{"image": f"lab/{name}:1"}]},
            }
        },
        "status": {
            "url": f"http://{name}.default.localhost:8080",
            "observedGeneration": 1,
            "latestCreatedRevisionName": latest,
            "latestReadyRevisionName": latest,
            "traffic": [{"revisionName": latest, "percent": 100, "latestRevision": True}],
            "conditions": conditions(
                ("ConfigurationsReady", ready, "", ""),
                ("Ready", ready, "" if ready == "True" else "RevisionMissing", message),
                ("RoutesReady", ready, "", ""),
                at=1_700_000_000,
            ),
        },
    }


def revision(owner: str, name: str, *, ready: str = "True") -> Object:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {
                "serving.knative.dev/service": owner,
                "serving.knative.dev/configuration": owner,
            },
            "ownerReferences": [
                {
                    "apiVersion": "serving.knative.dev/v1",
                    "kind": "Configuration",
                    "name": owner,
                    "uid": f"uid-of-{owner}",
                    "controller": True,
                }
            ],
        },
        "spec": {"containerConcurrency": 1, "containers": [{"image": f"lab/{owner}:1"}]},
        "status": {"conditions": conditions(("Ready", ready, "", ""), at=1_700_000_000)},
    }


def deployment(owner: str, name: str, *, desired: int, ready: int) -> Object:
    labels = {
        "serving.knative.dev/service": owner,
        "serving.knative.dev/configuration": owner,
        "serving.knative.dev/revision": name,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{name}-deployment", "namespace": "default", "labels": labels},
        "spec": {
            "replicas": desired,
            "selector": {"matchLabels": {"serving.knative.dev/revision": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "user-container", "image": "lab/x:1"}]},
            },
        },
        "status": {"replicas": desired, "readyReplicas": ready},
    }


def pod(
    owner: str,
    revision_name: str,
    suffix: str,
    *,
    ready: bool = True,
    phase: str = "Running",
    waiting: Object | None = None,
) -> Object:
    state: Object = {"waiting": waiting} if waiting else {"running": {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{revision_name}-deployment-5d8f7c6b9d-{suffix}",
            "namespace": "default",
            "labels": {
                "serving.knative.dev/service": owner,
                "serving.knative.dev/revision": revision_name,
            },
            "annotations": {
                "k8s.aliyun.com/eci-instance-spec": "ecs.gn5-c4g1.xlarge",
                "tidegate.dev/price-per-hour": "1.2",
            },
        },
        "spec": {"containers": [{"name": "user-container", "image": "lab/x:1"}]},
        "status": {
            "phase": phase,
            "conditions": conditions(
                ("Ready", "True" if ready else "False", "", ""), at=1_700_000_000
            ),
            "containerStatuses": [
                {
                    "name": "user-container",
                    "ready": ready,
                    "restartCount": 0,
                    "image": "lab/x:1",
                    "imageID": "",
                    "state": state,
                }
            ],
        },
    }


def event(
    name: str, kind: str, involved: str, reason: str, message: str, *, warning: bool = False
) -> Object:
    now = rfc3339(SystemClock().time())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": kind, "name": involved, "namespace": "default"},
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


async def add_demo(api: RunningApi) -> None:
    """A service `demo` with a revision, a ready pod and an event."""
    await add(api, SERVICES, service("demo"))
    await add(api, REVISIONS, revision("demo", "demo-00001"))
    await add(api, DEPLOYMENTS, deployment("demo", "demo-00001", desired=2, ready=1))
    await add(api, PODS, pod("demo", "demo-00001", "abcde"))
    await add(api, EVENTS, event("e1", "Deployment", "demo-00001-deployment", "Scaled", "up to 2"))
