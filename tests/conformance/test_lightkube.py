"""lightkube, a typed client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource, load_in_cluster_generic_resources
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import CascadeType, PatchType

from tests.conformance.objects import service

KnativeService = create_namespaced_resource(
    group="serving.knative.dev", version="v1", kind="Service", plural="services"
)


@pytest.fixture
def client(kubeconfig: Path, namespace: str) -> Iterator[Client]:
    made = Client(
        KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="t", trust_env=False
    )
    yield made
    made.close()


def settings(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name), data=data)


def test_objects_come_change_and_go(client: Client) -> None:
    made = client.create(settings("a", x="1"))
    assert made.metadata is not None
    stale = made.metadata.resourceVersion
    made.data = {"x": "2"}
    client.replace(made)
    made.metadata.resourceVersion = stale
    with pytest.raises(ApiError):
        client.replace(made)
    with pytest.raises(ApiError) as refusal:
        client.create(settings("a"))
    assert refusal.value.status.reason == "AlreadyExists"
    client.patch(ConfigMap, "a", {"data": {"y": "3"}}, patch_type=PatchType.MERGE)
    steps = [{"op": "remove", "path": "/data/x"}]
    client.patch(ConfigMap, "a", steps, patch_type=PatchType.JSON)
    assert client.get(ConfigMap, "a").data == {"y": "3"}
    client.delete(ConfigMap, "a")
    with pytest.raises(ApiError):
        client.get(ConfigMap, "a")


def test_server_side_apply(client: Client) -> None:
    assert client.apply(settings("applied", k="1")).data == {"k": "1"}
    with pytest.raises(ApiError) as refusal:
        client.apply(settings("applied", k="2"), field_manager="other")
    assert refusal.value.status.code == 409
    assert client.apply(settings("applied", k="2"), field_manager="other", force=True).data == {
        "k": "2"
    }


def test_lists_and_watches(client: Client) -> None:
    for number in range(5):
        client.create(
            ConfigMap(metadata=ObjectMeta(name=f"c{number}", labels={"odd": str(number % 2)}))
        )
    odd = client.list(ConfigMap, labels={"odd": "1"}, chunk_size=1)
    assert [item.metadata.name for item in odd if item.metadata] == ["c1", "c3"]
    version = odd.resourceVersion
    client.deletecollection(ConfigMap)
    assert list(client.list(ConfigMap, fields={"metadata.name": "c0"})) == []
    events = iter(client.watch(ConfigMap, labels={"odd": "0"}, resource_version=version))
    assert [next(events)[0] for _ in range(3)] == ["DELETED"] * 3


def test_a_deployment_and_its_scale(client: Client) -> None:
    labels = {"app": "web"}
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels),
        spec=PodSpec(containers=[Container(name="c", image="counter")]),
    )
    spec = DeploymentSpec(replicas=0, selector=LabelSelector(matchLabels=labels), template=template)
    client.create(Deployment(metadata=ObjectMeta(name="web"), spec=spec))
    scale = Deployment.Scale(metadata=ObjectMeta(name="web"), spec=ScaleSpec(replicas=1))
    client.replace(scale)
    # With no replicas the Deployment is available, too: only a pod shows that the scale has acted.
    _, pod = next(iter(client.watch(Pod, labels=labels)))
    assert pod.metadata is not None
    name = str(pod.metadata.name)
    client.wait(Pod, name, for_conditions=["Ready"])
    client.wait(Deployment, "web", for_conditions=["Available"])
    assert [str(pod.metadata.name) for pod in client.list(Pod, labels=labels) if pod.metadata] == [
        name
    ]
    lines = list(client.log(name))
    assert all(isinstance(line, str) for line in lines)


def test_knative_as_a_generic_resource(client: Client, namespace: str) -> None:
    load_in_cluster_generic_resources(client)
    client.create(KnativeService(service("hello", namespace)))
    ready = client.wait(KnativeService, "hello", for_conditions=["Ready"])
    assert ready.status["url"].startswith("http://hello.")
    labels = {"metadata": {"labels": {"a": "b"}}}
    with pytest.raises(ApiError) as refusal:
        client.patch(KnativeService, "hello", labels, patch_type=PatchType.STRATEGIC)
    assert refusal.value.status.code == 415
    client.patch(KnativeService, "hello", labels, patch_type=PatchType.MERGE)
    client.delete(KnativeService, "hello", cascade=CascadeType.FOREGROUND)
