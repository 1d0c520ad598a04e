"""What stands on a pod in the API, although a write of it has failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.node.machine import Machine
from tests.node.running import pod, port_of
from tests.support.api import RunningApi, running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.apiserver.local import LocalClient
from tidegate.kube.errors import ServiceUnavailable
from tidegate.kube.objects import Object
from tidegate.kube.resources import PODS
from tidegate.node.gpus import Gpus
from tidegate.node.images.manifest import ImagePort
from tidegate.node.lifecycle.context import PodContext
from tidegate.node.lifecycle.placement import Placement, Placer
from tidegate.node.lifecycle.reporter import StatusReporter
from tidegate.node.ports import PortAllocator
from tidegate.node.specs import load_table


class FailingOnce:
    """A client whose first write finds no API."""

    def __init__(self, client: LocalClient) -> None:
        self._client = client
        self._failed = False

    async def patch(self, *args: Any, **options: Any) -> Object:
        if not self._failed:
            self._failed = True
            raise ServiceUnavailable("not now")
        return await self._client.patch(*args, **options)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[RunningApi]:
    async with running_api(tmp_path) as api:
        yield api


async def test_the_ports_of_a_container_reach_its_pod_at_the_second_attempt(
    api: RunningApi, tmp_path: Path
) -> None:
    created = await api.client().create(PODS, pod("a"))
    clock = VirtualClock()
    ports = PortAllocator(100, 199, clock=clock, claims=Machine(), start=100)
    placer = Placer(load_table(), gpus=Gpus(0), ports=ports, max_pods=1, clock=clock)
    host: Any = SimpleNamespace(client=FailingOnce(api.client()), placer=placer, data_dir=tmp_path)
    context = PodContext(host, created, Placement("2-4Gi", 0.0, (), {}), lambda _urgent: None)
    [container] = created["spec"]["containers"]
    with pytest.raises(ServiceUnavailable):
        await context.ensure_ports(container, [ImagePort(container=8080)])
    await context.ensure_ports(container, [ImagePort(container=8080)])
    assert port_of(await api.client().get(PODS, "a", namespace="default")) == 100


async def test_the_last_status_is_written_when_the_api_is_back(api: RunningApi) -> None:
    created = await api.client().create(PODS, pod("a"))
    clock = VirtualClock()
    host: Any = SimpleNamespace(client=FailingOnce(api.client()), clock=clock)
    reporter = StatusReporter(
        host,
        read=lambda: created,
        build=lambda: {"phase": "Succeeded"},
        written=lambda _pod: None,
    )
    with pytest.raises(ServiceUnavailable):
        await reporter.flush()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(reporter.run())
        await api.settle()
        await clock.advance(1)
        await api.settle()
        running.cancel()
    status = (await api.client().get(PODS, "a", namespace="default"))["status"]
    assert status["phase"] == "Succeeded"
