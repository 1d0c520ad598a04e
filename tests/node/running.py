"""A node on a real API, as tests use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import urllib.parse
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import RunningApi, running_api
from tests.support.hasty_clock import HastyClock
from tidegate.apiserver.local import LocalClient
from tidegate.kube.clock import Clock, SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.errors import NotFound
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Object, annotations_of, is_condition_true, name_of
from tidegate.kube.resources import EVENTS, PODS
from tidegate.node.assembly import Node, NodeSettings, build

# The node's pauses, between tries for instance, are a tenth as long in a test marked so.
hasty = pytest.mark.parametrize("clock_type", [HastyClock], ids=["hasty"])


class Tokens:
    """Stands for the API's TokenRequest."""

    async def token(self, *, namespace: str, service_account: str, **_: Any) -> str:
        return f"token-of-{namespace}-{service_account}"


@dataclass
class Control:
    """One life of the control plane."""

    node: Node
    task: asyncio.Task[None]

    async def die(self) -> None:
        """As in a kill: nothing is ended in order."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@dataclass
class Stage:
    """An API, a data directory and the node's lives on them."""

    api: RunningApi
    path: Path
    images: Path
    options: dict[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    lives: list[Control] = field(default_factory=list)

    def build(self) -> tuple[Node, Informers]:
        """A node that does not run yet."""
        client = self.api.client("system:node:tidegate", ("system:nodes",))
        informers = Informers(client, clock=self.clock)
        settings = NodeSettings(
            data_dir=self.path / "data",
            image_dirs=(self.images,),
            api_server_host="127.0.0.1",
            api_server_port=6443,
            ca_file=self.path / "ca.crt",
            **self.options,
        )
        return build(Context(client, informers, self.clock), settings, Tokens()), informers

    def start(self) -> Control:
        """A new life of the control plane."""
        node, informers = self.build()

        async def live() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(informers.run())
                group.create_task(node.run())

        control = Control(node, asyncio.create_task(live()))
        self.lives.append(control)
        return control

    @property
    def client(self) -> LocalClient:
        return self.api.client()

    async def create(self, name: str, **spec: Any) -> Object:
        """Create a pod with one container `main`; `annotations` go to its metadata."""
        return await self.client.create(PODS, pod(name, **spec))

    async def get(self, name: str) -> Object:
        return await self.client.get(PODS, name, namespace="default")

    async def until(self, name: str, check: Callable[[Object], Any], seconds: float = 15) -> Object:
        """The pod as soon as `check` holds of it."""
        seen: Object = {}

        async def holds() -> bool:
            nonlocal seen
            seen = await self.get(name)
            return bool(check(seen))

        try:
            await self.api.eventually(holds, timeout=seconds)
        except TimeoutError:
            raise AssertionError(json.dumps(seen.get("status"), indent=1)) from None
        return seen

    async def ready(self, name: str) -> Object:
        return await self.until(name, lambda p: is_condition_true(p, "Ready"))

    async def gone(self, name: str) -> None:
        async def absent() -> bool:
            try:
                await self.get(name)
            except NotFound:
                return True
            return False

        await self.api.eventually(absent, timeout=15)

    async def delete(self, name: str, **options: Any) -> None:
        await self.client.delete(PODS, name, namespace="default", **options)

    async def event(self, reason: str, text: str = "") -> Object:
        """The event, as soon as there is one."""
        found: list[Object] = []

        async def there() -> bool:
            events = (await self.client.list(EVENTS)).items
            found[:] = [e for e in events if e["reason"] == reason and text in e["message"]]
            return bool(found)

        await self.api.eventually(there)
        return found[0]

    async def until_counted(self, event: Object, count: int) -> None:
        """Wait until an event has been seen so often."""

        async def counted() -> bool:
            now = await self.client.get(EVENTS, name_of(event), namespace="default")
            return int(now["count"]) >= count

        await self.api.eventually(counted)


def pod(
    name: str,
    *,
    annotations: dict[str, str] | None = None,
    container: dict[str, Any] | None = None,
    **spec: Any,
) -> Object:
    main = {"name": "main", "image": "web", **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app": "web"},
            "annotations": annotations or {},
        },
        "spec": {"containers": [main], "terminationGracePeriodSeconds": 5, **spec},
    }


READINESS = {"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}


def port_of(pod: Object, container_port: int = 8080) -> int:
    return int(json.loads(annotations_of(pod)["tidegate.dev/ports"])[str(container_port)])


def main_of(pod: Object) -> Object:
    """The status of the first container, as before its first report where there is none."""
    return (pod["status"].get("containerStatuses") or [{"restartCount": 0, "state": {}}])[0]


def waiting_of(pod: Object) -> Object:
    """What the first container waits for; empty when it does not."""
    return main_of(pod)["state"].get("waiting") or {}


def pid_of(pod: Object) -> int:
    return int(main_of(pod)["containerID"].removeprefix("process://").split("-")[0])


def seen_by(pod: Object, path: str) -> Path:
    """A path of the pod's view, from outside."""
    # The machine's own links lead to the same places in every view.
    return Path(f"/proc/{pid_of(pod)}/root{os.path.realpath(path)}")


async def ask(pod: Object, path: str = "/") -> Any:
    """What the pod's server answers, as JSON."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(pod))
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def inside(pod: Object, expression: str) -> Any:
    """What an expression is in the process of a pod of the image SHELL."""
    return await ask(pod, f"/eval?{urllib.parse.quote(expression)}")


@contextlib.asynccontextmanager
async def stage(path: Path, *, clock: Clock | None = None, **options: Any) -> AsyncIterator[Stage]:
    """A stage whose pods and templates are ended afterwards; the clock is the node's."""
    (path / "ca.crt").write_text("authority")
    images = path / "images"
    images.mkdir()
    async with running_api(path) as api:
        theatre = Stage(api, path, images, options, clock or SystemClock())
        try:
            yield theatre
        finally:
            last = theatre.lives[-1] if theatre.lives else theatre.start()
            await last.node.stop_pods(grace=0.5)
            for control in theatre.lives:
                await control.die()
