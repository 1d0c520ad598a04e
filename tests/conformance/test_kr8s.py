"""kr8s, a client that asks the server what it can do."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import kr8s
import pytest
from kr8s.asyncio.objects import ConfigMap, Deployment, Pod, new_class

from tests.conformance.objects import service

# kr8s leaves the generators inside its watches to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

KnativeService = new_class(
    kind="Service",
    version="serving.knative.dev/v1",
    namespaced=True,
    plural="services",
    asyncio=True,
)


@pytest.fixture
async def api(kubeconfig: Path, namespace: str) -> AsyncIterator[Any]:
    connected = await kr8s.asyncio.api(kubeconfig=str(kubeconfig), namespace=namespace)
    yield connected
    # kr8s closes nothing by itself, and what the garbage collector finds is no fault of the next
    # test.
    await connected._session.aclose()
    del connected
    gc.collect()


async def test_objects_come_change_and_go(api: Any, namespace: str) -> None:
    body = {"metadata": {"name": "settings", "namespace": namespace}, "data": {"a": "1"}}
    settings = await ConfigMap(body, api=api)
    await settings.create()
    assert await settings.exists()
    await settings.patch({"data": {"b": "2"}})
    await settings.label(team="a")
    await settings.annotate(note="x")
    found = await ConfigMap.get("settings", namespace=namespace, api=api)
    assert found.raw["data"] == {"a": "1", "b": "2"}
    assert found.labels["team"] == "a"
    listed = [item.name async for item in api.get("configmaps", label_selector={"team": "a"})]
    assert listed == ["settings"]
    await settings.delete()
    with pytest.raises(kr8s.NotFoundError):
        await ConfigMap.get("settings", namespace=namespace, api=api)


async def test_discovery_and_version(api: Any, namespace: str) -> None:
    assert (await api.version())["minor"] == "32"
    kinds = {(entry["kind"], entry["version"]) async for entry in _resources(api)}
    assert ("Service", "serving.knative.dev/v1") in kinds
    assert await api.whoami() == "tidegate-admin"


async def _resources(api: Any) -> Any:
    for entry in await api.api_resources():
        yield entry


async def test_a_watch_sees_every_change(api: Any, namespace: str) -> None:
    seen: list[str] = []

    async def follow() -> None:
        async with aclosing(api.watch("configmaps", namespace=namespace)) as events:
            async for event, obj in events:
                if obj.name == "w":
                    seen.append(event)
                if event == "DELETED":
                    return

    watching = asyncio.create_task(follow())
    settings = await ConfigMap({"metadata": {"name": "w", "namespace": namespace}}, api=api)
    await settings.create()
    while not seen:  # noqa: ASYNC110 - the watch may begin late
        await asyncio.sleep(0.05)
    await settings.patch({"data": {"x": "1"}})
    await settings.delete()
    async with asyncio.timeout(20):
        await watching
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_deployment_scales_and_its_pods_run_commands(api: Any, namespace: str) -> None:
    labels = {"app": "web"}
    container = {"name": "c", "image": "counter", "ports": [{"containerPort": 8080}]}
    body = {
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    deployment = await Deployment(body, api=api)
    await deployment.create()
    await deployment.scale(2)
    await deployment.wait("condition=Available", timeout=30)
    pods = [pod async for pod in api.get("pods", namespace=namespace, label_selector=labels)]
    assert len(pods) == 2
    pod = await Pod.get(pods[0].name, namespace=namespace, api=api)
    await pod.wait("condition=Ready", timeout=30)
    done = await pod.exec(["echo", "hello"])
    assert (done.stdout, done.returncode) == (b"hello\n", 0)


async def test_a_knative_service_becomes_ready(api: Any, namespace: str) -> None:
    hello = await KnativeService(service("hello", namespace), api=api)
    await hello.create()
    # kr8s takes it that an object has a status; a new one has none yet.
    async with asyncio.timeout(60):
        while "status" not in hello.raw:
            await hello.refresh()
        await hello.wait("condition=Ready")
    await hello.refresh()
    assert hello.status.latestReadyRevisionName == "hello-00001"
    await hello.delete(propagation_policy="Foreground")
    async with asyncio.timeout(30):
        while await hello.exists():  # noqa: ASYNC110 - a deletion in the foreground takes its time
            await asyncio.sleep(0.1)
