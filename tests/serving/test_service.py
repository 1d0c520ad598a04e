"""From a Knative Service to a ready URL, and what a user sees on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.serving.support import Cluster, running_serving, service
from tidegate.apis import autoscaling, networking, serving
from tidegate.kube.objects import condition_of, thaw
from tidegate.kube.resources import DEPLOYMENTS, INGRESSES, SERVICES


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_serving(tmp_path) as running:
        yield running


async def test_a_service_makes_everything_below_it(cluster: Cluster) -> None:
    await cluster.apply(serving.SERVICES, service(containerConcurrency=1))

    assert await cluster.names(serving.CONFIGURATIONS) == ["hello"]
    assert await cluster.names(serving.REVISIONS) == ["hello-00001"]
    assert await cluster.names(serving.ROUTES) == ["hello"]
    assert await cluster.names(DEPLOYMENTS) == ["hello-00001-deployment"]
    assert await cluster.names(autoscaling.POD_AUTOSCALERS) == ["hello-00001"]
    assert await cluster.names(SERVICES) == ["hello-00001", "hello-00001-private"]
    owner = (await cluster.get(serving.SERVICES, "hello"))["metadata"]["uid"]
    revision = await cluster.get(serving.REVISIONS, "hello-00001")
    assert revision["metadata"]["labels"]["serving.knative.dev/serviceUID"] == owner
    assert revision["metadata"]["labels"]["serving.knative.dev/configurationGeneration"] == "1"
    assert await cluster.ready(serving.ROUTES, "hello") == ("Unknown", "RevisionMissing")
    assert (await cluster.ready(serving.SERVICES, "hello"))[0] == "Unknown"


async def test_a_service_becomes_ready_when_its_pods_and_the_gateway_are(
    cluster: Cluster,
) -> None:
    await cluster.apply(serving.SERVICES, service())
    await cluster.becomes_ready("hello-00001")
    assert await cluster.ready(serving.REVISIONS, "hello-00001") == ("True", "")
    assert await cluster.ready(serving.CONFIGURATIONS, "hello") == ("True", "")
    assert await cluster.ready(serving.ROUTES, "hello") == ("Unknown", "IngressNotConfigured")
    await cluster.gateway_serves("hello")

    live = await cluster.get(serving.SERVICES, "hello")
    status = live["status"]
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")
    assert status["url"] == "http://hello.default.localhost:8080"
    assert status["address"] == {"url": "http://hello.default.svc.cluster.local"}
    assert status["latestCreatedRevisionName"] == "hello-00001"
    assert status["latestReadyRevisionName"] == "hello-00001"
    assert status["observedGeneration"] == live["metadata"]["generation"] == 1
    assert status["traffic"] == [
        {"revisionName": "hello-00001", "percent": 100, "latestRevision": True}
    ]
    assert [item["type"] for item in status["conditions"]] == [
        "ConfigurationsReady",
        "Ready",
        "RoutesReady",
    ]


async def test_the_ingress_leads_to_the_revision(cluster: Cluster) -> None:
    obj = service()
    obj["metadata"]["annotations"] = {"serving.knative.dev.alibabacloud/affinity": "cookie"}
    await cluster.deploy(obj)
    ingress = await cluster.get(networking.INGRESSES, "hello")
    annotations = ingress["metadata"]["annotations"]
    assert annotations["serving.knative.dev.alibabacloud/affinity"] == "cookie"
    local, public = ingress["spec"]["rules"]
    assert public["hosts"] == ["hello.default.localhost"]
    assert public["visibility"] == "ExternalIP"
    assert "hello.default.svc.cluster.local" in local["hosts"]
    assert public["http"]["paths"][0]["splits"] == [
        {
            "serviceNamespace": "default",
            "serviceName": "hello-00001",
            "servicePort": 80,
            "percent": 100,
            "appendHeaders": {
                "Knative-Serving-Namespace": "default",
                "Knative-Serving-Revision": "hello-00001",
            },
        }
    ]
    shown = await cluster.get(INGRESSES, "hello")
    assert [rule["host"] for rule in shown["spec"]["rules"]] == ["hello.default.localhost"]
    assert (await cluster.get(SERVICES, "hello"))["spec"]["type"] == "ExternalName"


async def test_a_new_template_makes_a_revision_and_traffic_waits_for_it(
    cluster: Cluster,
) -> None:
    await cluster.deploy(service())
    changed = service()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
    await cluster.apply(serving.SERVICES, changed)

    status = (await cluster.get(serving.SERVICES, "hello"))["status"]
    assert status["latestCreatedRevisionName"] == "hello-00002"
    assert status["latestReadyRevisionName"] == "hello-00001"
    assert status["traffic"][0]["revisionName"] == "hello-00001"
    assert (await cluster.ready(serving.SERVICES, "hello"))[0] == "Unknown"

    await cluster.becomes_ready("hello-00002")
    await cluster.gateway_serves("hello")
    status = (await cluster.get(serving.SERVICES, "hello"))["status"]
    assert status["latestReadyRevisionName"] == "hello-00002"
    assert status["traffic"][0]["revisionName"] == "hello-00002"
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")


async def test_traffic_alone_makes_no_revision(cluster: Cluster) -> None:
    await cluster.deploy(service())
    changed = service()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
    await cluster.deploy(changed, revision=2)
    traffic = [
        {"revisionName": "hello-00001", "percent": 90},
        {"revisionName": "hello-00002", "percent": 10, "tag": "canary"},
    ]
    await cluster.change(serving.SERVICES, "hello", {"spec": {"traffic": traffic}})
    await cluster.gateway_serves("hello")

    assert await cluster.names(serving.REVISIONS) == ["hello-00001", "hello-00002"]
    status = (await cluster.get(serving.SERVICES, "hello"))["status"]
    assert status["traffic"] == [
        {"revisionName": "hello-00001", "percent": 90, "latestRevision": False},
        {
            "revisionName": "hello-00002",
            "percent": 10,
            "latestRevision": False,
            "tag": "canary",
            "url": "http://canary-hello.default.localhost:8080",
        },
    ]
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")
    ingress = await cluster.get(networking.INGRESSES, "hello")
    by_host = {
        rule["hosts"][0]: [
            (split["serviceName"], split["percent"]) for split in rule["http"]["paths"][0]["splits"]
        ]
        for rule in ingress["spec"]["rules"]
        if rule["visibility"] == "ExternalIP"
    }
    assert by_host == {
        "hello.default.localhost": [("hello-00001", 90), ("hello-00002", 10)],
        "canary-hello.default.localhost": [("hello-00002", 100)],
    }
    assert await cluster.exists(SERVICES, "canary-hello")

    await cluster.change(
        serving.SERVICES,
        "hello",
        {"spec": {"traffic": [{"latestRevision": True, "percent": 100}]}},
    )
    assert not await cluster.exists(SERVICES, "canary-hello")


async def test_revisions_know_whether_they_get_traffic(cluster: Cluster) -> None:
    await cluster.apply(serving.SERVICES, service())
    label = "serving.knative.dev/routingState"
    revision = await cluster.get(serving.REVISIONS, "hello-00001")
    assert revision["metadata"]["labels"][label] == "pending"
    await cluster.becomes_ready("hello-00001")
    await cluster.gateway_serves("hello")
    revision = await cluster.get(serving.REVISIONS, "hello-00001")
    assert revision["metadata"]["labels"][label] == "active"
    assert revision["metadata"]["annotations"]["serving.knative.dev/routes"] == "hello"
    autoscaler = await cluster.get(autoscaling.POD_AUTOSCALERS, "hello-00001")
    assert autoscaler["spec"]["reachability"] == "Reachable"

    changed = service()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
    await cluster.deploy(changed, revision=2)
    revision = await cluster.get(serving.REVISIONS, "hello-00001")
    assert revision["metadata"]["labels"][label] == "reserve"
    assert "serving.knative.dev/routes" not in revision["metadata"]["annotations"]
    autoscaler = await cluster.get(autoscaling.POD_AUTOSCALERS, "hello-00001")
    assert autoscaler["spec"]["reachability"] == "Unreachable"


async def test_a_revision_at_zero_stays_ready(cluster: Cluster) -> None:
    await cluster.deploy(service())
    await cluster.client.patch(
        DEPLOYMENTS, "hello-00001-deployment", {"spec": {"replicas": 0}}, namespace="default"
    )
    await cluster.deployment_says("hello-00001", available=0)
    await cluster.autoscaler_says("hello-00001", active="False", scale=0)
    revision = await cluster.get(serving.REVISIONS, "hello-00001")
    assert await cluster.ready(serving.REVISIONS, "hello-00001") == ("True", "")
    active = condition_of(revision, "Active") or {}
    assert (active["status"], active["reason"], active["severity"]) == (
        "False",
        "NoTraffic",
        "Info",
    )
    assert revision["status"]["actualReplicas"] == 0
    deployment = await cluster.get(DEPLOYMENTS, "hello-00001-deployment")
    assert deployment["spec"]["replicas"] == 0, "only the autoscaler writes replicas"


@pytest.mark.parametrize(
    ("container", "reason", "message"),
    [
        pytest.param(
            {"lastState": {"terminated": {"exitCode": 3, "message": "no GPU"}}},
            "ExitCode3",
            "Container failed with: no GPU",
            id="exit",
        ),
        pytest.param(
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no image hello:1"}}},
            "ImagePullBackOff",
            "no image hello:1",
            id="image",
        ),
    ],
)
async def test_failures_of_containers_travel_up(
    cluster: Cluster, container: dict[str, object], reason: str, message: str
) -> None:
    await cluster.apply(serving.SERVICES, service())
    await cluster.pod_fails("hello-00001", container)
    revision = condition_of(await cluster.get(serving.REVISIONS, "hello-00001"), "Ready") or {}
    assert (revision["status"], revision["reason"]) == ("False", reason)
    assert message in revision["message"]
    for resource in (serving.CONFIGURATIONS, serving.SERVICES):
        found = condition_of(await cluster.get(resource, "hello"), "Ready") or {}
        assert (found["status"], found["reason"]) == ("False", "RevisionFailed")
        assert message in found["message"]
    assert await cluster.ready(serving.ROUTES, "hello") == ("False", "RevisionMissing")


async def test_a_failed_service_recovers_with_a_good_template(cluster: Cluster) -> None:
    await cluster.apply(serving.SERVICES, service())
    await cluster.pod_fails("hello-00001", {"lastState": {"terminated": {"exitCode": 1}}})
    changed = service()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
    await cluster.deploy(changed, revision=2)
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")


async def test_a_named_revision_keeps_its_name(cluster: Cluster) -> None:
    obj = service()
    obj["spec"]["template"]["metadata"]["name"] = "hello-blue"
    await cluster.apply(serving.SERVICES, obj)
    assert await cluster.names(serving.REVISIONS) == ["hello-blue"]
    await cluster.becomes_ready("hello-blue")
    await cluster.gateway_serves("hello")
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")


async def test_a_taken_revision_name_is_reported(cluster: Cluster) -> None:
    await cluster.deploy(service())
    obj = service()
    obj["spec"]["template"]["metadata"]["name"] = "hello-00001"
    obj["spec"]["template"]["spec"]["containers"][0]["image"] = "hello:2"
    await cluster.apply(serving.SERVICES, obj)
    live = await cluster.get(serving.SERVICES, "hello")
    routes = condition_of(live, "RoutesReady") or {}
    assert routes["reason"] == "RevisionNameTaken"
    assert await cluster.ready(serving.CONFIGURATIONS, "hello") == ("False", "RevisionFailed")


async def test_a_foreign_configuration_is_left_alone(cluster: Cluster) -> None:
    foreign = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Configuration",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": service()["spec"],
    }
    await cluster.apply(serving.CONFIGURATIONS, thaw(foreign))
    await cluster.apply(serving.SERVICES, service())
    assert await cluster.ready(serving.SERVICES, "hello") == ("False", "NotOwned")
    await cluster.client.delete(serving.CONFIGURATIONS, "hello", namespace="default")
    await cluster.settle()
    configuration = await cluster.get(serving.CONFIGURATIONS, "hello")
    assert configuration["metadata"]["ownerReferences"][0]["kind"] == "Service"


async def test_a_foreign_core_service_is_left_alone(cluster: Cluster) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]},
    }
    await cluster.client.create(SERVICES, foreign)
    await cluster.apply(serving.SERVICES, service())
    await cluster.becomes_ready("hello-00001")
    found = condition_of(await cluster.get(serving.ROUTES, "hello"), "IngressReady") or {}
    assert found["message"] == (
        'There is an existing placeholder Service "hello" that we do not own.'
    )
    await cluster.client.delete(SERVICES, "hello", namespace="default")
    await cluster.settle()
    await cluster.gateway_serves("hello")
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")


async def test_long_names_stay_within_the_limit(cluster: Cluster) -> None:
    name = "a" * 57
    await cluster.deploy(service(name))
    assert await cluster.ready(serving.SERVICES, name) == ("True", "")
    assert all(len(item) <= 63 for item in await cluster.names(SERVICES))


async def test_a_missing_revision_is_named(cluster: Cluster) -> None:
    await cluster.deploy(service())
    await cluster.change(
        serving.SERVICES,
        "hello",
        {"spec": {"traffic": [{"revisionName": "hello-00009", "percent": 100}]}},
    )
    found = condition_of(await cluster.get(serving.SERVICES, "hello"), "Ready") or {}
    assert found["reason"] == "RevisionMissing"
    assert found["message"] == 'Revision "hello-00009" referenced in traffic not found.'
    ingress = await cluster.get(networking.INGRESSES, "hello")
    splits = ingress["spec"]["rules"][1]["http"]["paths"][0]["splits"]
    assert splits[0]["serviceName"] == "hello-00001", "what served goes on serving"


async def test_cluster_local_services_have_no_public_host(cluster: Cluster) -> None:
    obj = service()
    obj["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    await cluster.deploy(obj)
    live = await cluster.get(serving.SERVICES, "hello")
    assert live["status"]["url"] == "http://hello.default.svc.cluster.local"
    ingress = await cluster.get(networking.INGRESSES, "hello")
    assert [rule["visibility"] for rule in ingress["spec"]["rules"]] == ["ClusterLocal"]
    assert not await cluster.exists(INGRESSES, "hello")


async def _versions(cluster: Cluster) -> list[str]:
    """Of all objects of the service `hello`."""
    return [
        (await cluster.get(resource, name))["metadata"]["resourceVersion"]
        for resource, name in (
            (serving.SERVICES, "hello"),
            (serving.CONFIGURATIONS, "hello"),
            (serving.REVISIONS, "hello-00001"),
            (serving.ROUTES, "hello"),
            (networking.INGRESSES, "hello"),
            (DEPLOYMENTS, "hello-00001-deployment"),
        )
    ]


async def test_the_state_is_kept_when_nothing_changes(cluster: Cluster) -> None:
    await cluster.deploy(service())
    before = await _versions(cluster)
    await cluster.clock.advance(3600)
    await cluster.settle()
    assert await _versions(cluster) == before


async def test_a_revision_named_twice_gets_the_sum(cluster: Cluster) -> None:
    obj = service()
    await cluster.deploy(obj)
    obj["spec"]["traffic"] = [
        {"revisionName": "hello-00001", "percent": 40},
        {"revisionName": "hello-00001", "percent": 60},
    ]
    await cluster.apply(serving.SERVICES, obj)
    await cluster.gateway_serves("hello")
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")
    status = (await cluster.get(serving.SERVICES, "hello"))["status"]
    assert status["traffic"] == [
        {"revisionName": "hello-00001", "percent": 100, "latestRevision": False}
    ]


async def test_a_host_that_is_too_long_is_said(cluster: Cluster) -> None:
    obj = service()
    obj["spec"]["traffic"] = [{"latestRevision": True, "percent": 100, "tag": "t" * 60}]
    await cluster.apply(serving.SERVICES, obj)
    await cluster.becomes_ready("hello-00001")
    assert await cluster.ready(serving.SERVICES, "hello") == ("False", "FailedCreate")
    route = await cluster.get(serving.ROUTES, "hello")
    found = condition_of(route, "IngressReady")
    assert found is not None
    assert f'Service "{"t" * 60}-hello" is invalid: metadata.name: ' in found["message"]
    obj["spec"]["traffic"][0]["tag"] = "short"
    await cluster.apply(serving.SERVICES, obj)
    await cluster.gateway_serves("hello")
    assert await cluster.ready(serving.SERVICES, "hello") == ("True", "")
