"""Domains of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.support import Cluster, running_serving, service
from tidegate.apis import networking, serving
from tidegate.kube.objects import condition_of

MAPPING: dict[str, Any] = {
    "apiVersion": "serving.knative.dev/v1beta1",
    "kind": "DomainMapping",
    "metadata": {"name": "models.example.org", "namespace": "default"},
    "spec": {"ref": {"kind": "Service", "name": "hello", "apiVersion": "serving.knative.dev/v1"}},
}


def claim(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "ClusterDomainClaim",
        "metadata": {"name": "models.example.org"},
        "spec": {"namespace": namespace},
    }


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_serving(tmp_path) as running:
        await running.deploy(service())
        yield running


async def test_a_claimed_domain_serves_the_service(cluster: Cluster) -> None:
    await cluster.client.create(networking.CLUSTER_DOMAIN_CLAIMS, claim("default"))
    await cluster.apply(serving.DOMAIN_MAPPINGS, MAPPING)
    ingress = await cluster.get(networking.INGRESSES, "models.example.org")
    rule = ingress["spec"]["rules"][0]
    assert rule["hosts"] == ["models.example.org"]
    assert rule["http"]["paths"][0]["splits"][0]["serviceName"] == "hello-00001"
    await cluster.gateway_serves("models.example.org")
    live = await cluster.get(serving.DOMAIN_MAPPINGS, "models.example.org")
    assert live["status"]["url"] == "http://models.example.org:8080"
    assert await cluster.ready(serving.DOMAIN_MAPPINGS, "models.example.org") == ("True", "")


async def test_the_mapping_follows_the_traffic(cluster: Cluster) -> None:
    await cluster.set_config("config-network", {"autocreate-cluster-domain-claims": "true"})
    await cluster.apply(serving.DOMAIN_MAPPINGS, MAPPING)
    changed = service()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
    await cluster.deploy(changed, revision=2)
    ingress = await cluster.get(networking.INGRESSES, "models.example.org")
    splits = ingress["spec"]["rules"][0]["http"]["paths"][0]["splits"]
    assert splits[0]["serviceName"] == "hello-00002"
    listing = await cluster.client.list(networking.CLUSTER_DOMAIN_CLAIMS)
    assert [item["spec"] for item in listing.items] == [{"namespace": "default"}]


@pytest.mark.parametrize(
    ("owner", "reason"), [(None, "DomainClaimFailed"), ("other", "DomainAlreadyClaimed")]
)
async def test_a_domain_without_claim_is_not_served(
    cluster: Cluster, owner: str | None, reason: str
) -> None:
    if owner:
        await cluster.client.create(networking.CLUSTER_DOMAIN_CLAIMS, claim(owner))
    await cluster.apply(serving.DOMAIN_MAPPINGS, MAPPING)
    found = condition_of(await cluster.get(serving.DOMAIN_MAPPINGS, "models.example.org"), "Ready")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", reason)
    assert not await cluster.exists(networking.INGRESSES, "models.example.org")


async def test_a_domain_of_a_deleted_service_is_not_served(cluster: Cluster) -> None:
    await cluster.client.create(networking.CLUSTER_DOMAIN_CLAIMS, claim("default"))
    await cluster.apply(serving.DOMAIN_MAPPINGS, MAPPING)
    # What the garbage collector does after the deletion of the Service.
    await cluster.client.delete(serving.SERVICES, "hello", namespace="default")
    await cluster.client.delete(serving.ROUTES, "hello", namespace="default")
    await cluster.client.delete(networking.INGRESSES, "hello", namespace="default")
    await cluster.settle()
    found = condition_of(
        await cluster.get(serving.DOMAIN_MAPPINGS, "models.example.org"), "ReferenceResolved"
    )
    assert found is not None
    assert found["status"] == "False"
    assert found["message"] == 'services.serving.knative.dev "hello" not found'
    assert not await cluster.exists(networking.INGRESSES, "models.example.org")


@pytest.mark.parametrize("automatic", [True, False])
async def test_a_claim_that_came_by_itself_goes_with_its_mapping(
    cluster: Cluster, automatic: bool
) -> None:
    if automatic:
        await cluster.set_config("config-network", {"autocreate-cluster-domain-claims": "true"})
    else:
        await cluster.client.create(networking.CLUSTER_DOMAIN_CLAIMS, claim("default"))
    await cluster.apply(serving.DOMAIN_MAPPINGS, MAPPING)
    await cluster.client.delete(serving.DOMAIN_MAPPINGS, "models.example.org", namespace="default")
    await cluster.settle()
    listing = await cluster.client.list(networking.CLUSTER_DOMAIN_CLAIMS)
    assert bool(listing.items) is not automatic


async def test_a_mapping_leaves_the_claim_of_others(cluster: Cluster) -> None:
    await cluster.set_config("config-network", {"autocreate-cluster-domain-claims": "true"})
    await cluster.client.create(networking.CLUSTER_DOMAIN_CLAIMS, claim("other"))
    await cluster.apply(serving.DOMAIN_MAPPINGS, MAPPING)
    await cluster.client.delete(serving.DOMAIN_MAPPINGS, "models.example.org", namespace="default")
    await cluster.settle()
    listing = await cluster.client.list(networking.CLUSTER_DOMAIN_CLAIMS)
    assert [item["spec"] for item in listing.items] == [{"namespace": "other"}]
