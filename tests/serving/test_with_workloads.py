"""Serving together with the controllers that make pods of its Deployments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.serving.support import Cluster, running_serving, service
from tests.support.tokens import token_issuer
from tidegate.apis import autoscaling, networking, serving
from tidegate.apis.registry import KINDS
from tidegate.kube import resources
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Object
from tidegate.kube.resources import DEPLOYMENTS, INGRESSES, PODS, REPLICA_SETS, SERVICES
from tidegate.workloads import assembly as workloads

COLLECTED = (
    *(kind.resource for kind in KINDS),
    resources.NAMESPACES,
    resources.PODS,
    resources.SERVICES,
    resources.CONFIG_MAPS,
    resources.SERVICE_ACCOUNTS,
    resources.DEPLOYMENTS,
    resources.REPLICA_SETS,
    resources.INGRESSES,
    resources.ENDPOINT_SLICES,
)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_serving(tmp_path) as running:
        client = running.api.client("system:kube-controller-manager")
        context = Context(client, Informers(client, clock=running.clock), running.clock)
        sign = token_issuer(tmp_path, running.clock).issue_for_secret
        runnables = workloads.build(context, collected=COLLECTED, root_ca="", sign=sign)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(context.informers.run())]
            tasks += [group.create_task(runnable.run()) for runnable in runnables]
            await running.settle()
            yield running
            for task in tasks:
                task.cancel()


async def pods(cluster: Cluster) -> list[Object]:
    return (await cluster.client.list(PODS, namespace="default")).items


async def start_pods(cluster: Cluster) -> None:
    """What a node reports of pods that run and are ready."""
    for pod in await pods(cluster):
        await cluster.write_status(
            PODS,
            pod["metadata"]["name"],
            {
                "phase": "Running",
                "podIP": "127.0.0.1",
                "conditions": [
                    {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                    for kind in ("PodScheduled", "ContainersReady", "Ready")
                ],
                "containerStatuses": [
                    {
                        "name": "user-container",
                        "image": "hello:1",
                        "imageID": "hello@sha256:" + "0" * 64,
                        "ready": True,
                        "restartCount": 0,
                        "state": {"running": {}},
                    }
                ],
            },
        )


async def test_a_service_gets_its_pod_and_becomes_ready(cluster: Cluster) -> None:
    obj = service(containerConcurrency=1)
    obj["spec"]["template"]["metadata"]["annotations"] = {
        "k8s.aliyun.com/eci-use-specs": "2-4Gi",
        "autoscaling.knative.dev/class": "mpa.autoscaling.knative.dev",
    }
    await cluster.apply(serving.SERVICES, obj)
    (pod,) = await pods(cluster)
    assert pod["metadata"]["name"].startswith("hello-00001-deployment-")
    assert pod["metadata"]["annotations"]["k8s.aliyun.com/eci-use-specs"] == "2-4Gi"
    assert pod["metadata"]["labels"]["serving.knative.dev/revision"] == "hello-00001"
    container = pod["spec"]["containers"][0]
    assert container["readinessProbe"]["tcpSocket"]["port"] == 8080

    await start_pods(cluster)
    assert (await cluster.ready(serving.REVISIONS, "hello-00001"))[0] == "Unknown"
    await cluster.autoscaler_says("hello-00001")
    await cluster.gateway_serves("hello")
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")
    revision = await cluster.get(serving.REVISIONS, "hello-00001")
    assert revision["status"]["containerStatuses"] == [
        {"name": "user-container", "imageDigest": "hello@sha256:" + "0" * 64}
    ]


async def test_touching_a_revision_restarts_no_pod(cluster: Cluster) -> None:
    await cluster.apply(serving.SERVICES, service())
    await start_pods(cluster)
    await cluster.autoscaler_says("hello-00001")
    await cluster.gateway_serves("hello")
    watched = (REPLICA_SETS, PODS, SERVICES, INGRESSES, serving.SERVICES, serving.ROUTES)

    async def specs() -> list[Object]:
        return [
            {"name": item["metadata"]["name"], "spec": item["spec"]}
            for resource in watched
            for item in (await cluster.client.list(resource, namespace="default")).items
        ]

    before = await specs()
    key = "autoscaling.knative.dev/max-scale"
    await cluster.change(
        serving.REVISIONS, "hello-00001", {"metadata": {"annotations": {key: "7"}}}
    )
    assert await specs() == before
    autoscaler = await cluster.get(autoscaling.POD_AUTOSCALERS, "hello-00001")
    assert autoscaler["metadata"]["annotations"][key] == "7"


async def test_deleting_a_service_leaves_nothing(cluster: Cluster) -> None:
    await cluster.apply(serving.SERVICES, service())
    await start_pods(cluster)
    await cluster.autoscaler_says("hello-00001")
    await cluster.gateway_serves("hello")
    await cluster.client.delete(serving.SERVICES, "hello", namespace="default")
    for _ in range(20):
        await cluster.clock.advance(5)
        await cluster.settle()
    for resource in (
        serving.SERVICES,
        serving.CONFIGURATIONS,
        serving.REVISIONS,
        serving.ROUTES,
        networking.INGRESSES,
        autoscaling.POD_AUTOSCALERS,
        DEPLOYMENTS,
        REPLICA_SETS,
        SERVICES,
        INGRESSES,
    ):
        assert await cluster.names(resource) == [], resource.qualified
