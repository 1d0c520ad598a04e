"""The demand of gateways in other processes, from their Leases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.autoscaling.support import REVISION
from tests.support.api import RunningApi, running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.apis import gateway_leases as leases
from tidegate.apis.demand import PodLoad
from tidegate.apis.gateway_leases import Entry
from tidegate.autoscaling.remote_gateways import RemoteGateways
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.resources import LEASES

_BUSY = Entry(places={"a": 2, "b": 1}, in_flight=2, queued=3, requests=7, pods={"a": 2})


class Far:
    def __init__(self, api: RunningApi, remote: RemoteGateways, clock: VirtualClock) -> None:
        self.api, self.remote, self.clock = api, remote, clock

    async def lease(self, name: str, namespace: str, labels: Any, **rest: Any) -> None:
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        metadata |= {"annotations": rest.pop("annotations", {})}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        await self.api.client().create(LEASES, body | rest)
        await self.api.settle()

    async def gateway(self, name: str) -> None:
        spec = {"leaseDurationSeconds": 60, "renewTime": "2026-01-01T00:00:00.000000Z"}
        labels = {leases.GATEWAY: name}
        await self.lease(leases.lease_of_gateway(name), leases.NAMESPACE, labels, spec=spec)

    async def says(self, **entries: Entry) -> None:
        texts = {leases.annotation_of(name): leases.encode(item) for name, item in entries.items()}
        await self.lease(
            leases.lease_of_revision(REVISION),
            REVISION.namespace,
            {leases.REVISION: REVISION.name},
            annotations=texts,
        )


@pytest_asyncio.fixture
async def far(tmp_path: Path) -> AsyncIterator[Far]:
    clock = VirtualClock()
    async with running_api(tmp_path, clock) as api, asyncio.TaskGroup() as group:
        informers = Informers(api.client("autoscaler"), clock=clock)
        context = Context(api.client("autoscaler"), informers, clock)
        remote = RemoteGateways(context, near=frozenset(("gateway",)))
        running = group.create_task(informers.run())
        await informers.wait_synced()
        yield Far(api, remote, clock)
        running.cancel()


async def test_nobody_else_is_nothing(far: Far) -> None:
    await far.gateway("gateway")
    assert far.remote.gateways == frozenset()
    assert far.remote.snapshot(REVISION) is None


async def test_what_others_say_is_heard_but_not_what_is_near(far: Far) -> None:
    await far.gateway("second")
    async with far.remote.subscribe() as demands:
        await far.says(gateway=Entry(in_flight=9), second=_BUSY, third=Entry())
        heard = await anext(demands)
    assert far.remote.gateways == {"second"}
    assert (heard.in_flight, heard.queued, heard.held, heard.requests) == (2, 3, 0, 7)
    assert heard.pods == (PodLoad("a", 2),)


async def test_a_silent_gateway_has_requests_in_all_of_its_places(far: Far) -> None:
    await far.gateway("second")
    await far.says(second=_BUSY)
    await far.clock.advance(61)
    found = far.remote.snapshot(REVISION)
    assert found is not None
    assert (found.in_flight, found.queued) == (3, 0)
    assert set(found.pods) == {PodLoad("a", 2), PodLoad("b", 1)}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"x":1}', '{"pods":5}', '{"places":{"a":"2"}}', '{"held":"1"}', '{"queued":-1}'],
)
def test_entries_that_no_gateway_could_have_written_are_none(text: str) -> None:
    annotations = {leases.annotation_of("a"): text, "other": "{}"}
    assert leases.entries_of({"metadata": {"annotations": annotations}}) == {}


def test_an_entry_comes_back_as_it_was_written() -> None:
    assert leases.decode(leases.encode(_BUSY)) == _BUSY
