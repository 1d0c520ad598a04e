"""A write of the status changes metadata of built-in types, and nothing else of custom ones."""

from __future__ import annotations

import pytest

from tests.apiserver.minimal import job
from tests.support.api import running_api
from tidegate.kube.errors import Invalid
from tidegate.kube.objects import annotations_of, labels_of, thaw
from tidegate.kube.resources import DEPLOYMENTS, JOBS, PODS, Resource

PATCH = {
    "metadata": {"annotations": {"patched": "yes"}, "labels": {"new": "label"}},
    "status": {"observedGeneration": 1},
}
KSVC = Resource("serving.knative.dev", "v1", "Service", "services")
CONTAINERS = [{"name": "main", "image": "counter:v1"}]


@pytest.fixture
async def client(tmp_path):
    async with running_api(tmp_path) as running:
        yield running.client()


async def patched(client, resource, name, patch):
    return await client.patch(resource, name, patch, namespace="default", subresource="status")


async def test_annotations_and_labels_go_along_with_the_status(client):
    made = await client.create(JOBS, job())
    patch = {**PATCH, "spec": {"parallelism": 9}, "status": {"active": 3}}
    after = await patched(client, JOBS, "pi", patch)
    assert annotations_of(after) == {"patched": "yes"}
    assert labels_of(after) == {**labels_of(made), "new": "label"}
    assert after["status"]["active"] == 3
    assert after["spec"] == made["spec"]
    assert after["metadata"]["generation"] == 1
    with pytest.raises(Invalid, match=r"metadata\.annotations"):
        await patched(client, JOBS, "pi", {"metadata": {"annotations": {"bad key!": "x"}}})


async def test_what_a_type_holds_back_stays(client):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": CONTAINERS}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    await client.create(DEPLOYMENTS, deployment)
    after = await patched(client, DEPLOYMENTS, "web", {**PATCH, "spec": {"replicas": 9}})
    assert (labels_of(after), annotations_of(after)) == ({"app": "web"}, {"patched": "yes"})
    assert after["spec"]["replicas"] == 1

    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}
    metadata = {"name": "p", "namespace": "default", "ownerReferences": [owner]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    await client.create(PODS, {**pod, "spec": {"containers": CONTAINERS}})
    after = await patched(client, PODS, "p", {"metadata": {"ownerReferences": None}})
    assert after["metadata"]["ownerReferences"] == [owner]


async def test_a_replaced_status_brings_its_metadata_too(client):
    made = thaw(await client.create(JOBS, job()))
    made["metadata"]["annotations"] = {"put": "yes"}
    made["metadata"]["uid"] = made["metadata"]["uid"]
    made["status"] = {"succeeded": 1}
    after = await client.update(JOBS, made, subresource="status")
    assert annotations_of(after) == {"put": "yes"}
    assert after["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]


async def test_of_custom_kinds_the_status_alone_is_written(client):
    service = {
        "apiVersion": KSVC.api_version,
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "counter"}]}}},
    }
    made = await client.create(KSVC, service)
    after = await patched(client, KSVC, "hello", {**PATCH, "spec": {}})
    assert after["status"]["observedGeneration"] == 1
    assert annotations_of(after) == annotations_of(made)
    assert labels_of(after) == {}
