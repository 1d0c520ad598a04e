"""What a client that watches may rely on: a Ready that counts is never that of an older spec."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.serving.support import Cluster, running_serving, service
from tidegate.apis import serving
from tidegate.kube.objects import Object, is_condition_true


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_serving(tmp_path) as running:
        await running.deploy(service())
        yield running


@asynccontextmanager
async def recorded(cluster: Cluster) -> AsyncIterator[list[Object]]:
    """Every state of the Service that a watch shows."""
    states: list[Object] = []
    seen = states.append
    listing = await cluster.client.list(serving.SERVICES, namespace="default")

    async def follow() -> None:
        async with cluster.client.watch(
            serving.SERVICES, namespace="default", resource_version=listing.resource_version
        ) as events:
            async for event in events:
                seen(event.object)

    task = asyncio.create_task(follow())
    try:
        yield states
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def counts_as_ready(state: Object) -> bool:
    """What kn and `kubectl wait` take as done."""
    status = state.get("status") or {}
    current = status.get("observedGeneration") == state["metadata"]["generation"]
    return current and is_condition_true(state, "Ready")


async def test_a_new_template_is_ready_only_with_its_revision(cluster: Cluster) -> None:
    async with recorded(cluster) as states:
        changed = service()
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
        await cluster.deploy(changed, revision=2)
    updated = [state for state in states if state["metadata"]["generation"] == 2]
    done = [state for state in updated if counts_as_ready(state)]
    assert done, "it became ready in the end"
    for state in done:
        assert state["status"]["latestReadyRevisionName"] == "hello-00002"
        assert state["status"]["traffic"][0]["revisionName"] == "hello-00002"
    assert updated[0]["status"]["observedGeneration"] == 1, "the write itself touches no status"


async def test_new_traffic_is_ready_only_when_the_gateway_has_it(cluster: Cluster) -> None:
    traffic: list[dict[str, Any]] = [{"revisionName": "hello-00001", "percent": 100, "tag": "now"}]
    async with recorded(cluster) as states:
        await cluster.change(serving.SERVICES, "hello", {"spec": {"traffic": traffic}})
        assert not any(counts_as_ready(s) for s in states if s["metadata"]["generation"] == 2)
        await cluster.gateway_serves("hello")
    done = [s for s in states if s["metadata"]["generation"] == 2 and counts_as_ready(s)]
    assert done
    assert all(state["status"]["traffic"][0]["tag"] == "now" for state in done)


async def test_labels_and_annotations_alone_change_no_generation(cluster: Cluster) -> None:
    patch = {"metadata": {"labels": {"team": "vision"}, "annotations": {"note": "x"}}}
    await cluster.change(serving.SERVICES, "hello", patch)
    live = await cluster.get(serving.SERVICES, "hello")
    assert live["metadata"]["generation"] == live["status"]["observedGeneration"] == 1
    assert await cluster.names(serving.REVISIONS) == ["hello-00001"]
    route = await cluster.get(serving.ROUTES, "hello")
    assert route["metadata"]["labels"]["team"] == "vision"
    assert route["metadata"]["annotations"]["note"] == "x"


async def test_a_restarted_controller_changes_nothing(tmp_path: Path) -> None:
    async with running_serving(tmp_path) as cluster:
        await cluster.deploy(service())
        before = await cluster.get(serving.SERVICES, "hello")
    async with running_serving(tmp_path) as cluster:
        await cluster.settle()
        assert await cluster.get(serving.SERVICES, "hello") == before
