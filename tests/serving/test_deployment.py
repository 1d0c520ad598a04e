"""What a Revision's pods are made of."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.apis.autoscaler_config import AutoscalerConfig
from tidegate.apis.settings import Settings
from tidegate.serving.children import covers
from tidegate.serving.revisions.children import make_pod_autoscaler, make_services
from tidegate.serving.revisions.deployment import make_deployment


def revision(**changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "containerConcurrency": 1,
        "timeoutSeconds": 300,
        "enableServiceLinks": False,
        "containers": [
            {
                "name": "stable-diffusion",
                "image": "sd:1",
                "env": [{"name": "A", "value": "b"}],
                "ports": [{"containerPort": 7860, "name": "http1", "protocol": "TCP"}],
                "readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1},
            }
        ],
    }
    metadata: dict[str, Any] = {
        "name": "sd-00001",
        "namespace": "default",
        "uid": "u-1",
        "labels": {
            "serving.knative.dev/configuration": "sd",
            "serving.knative.dev/service": "sd",
            "serving.knative.dev/routingState": "active",
        },
        "annotations": {
            "k8s.aliyun.com/eci-use-specs": "ecs.gn5-c4g1.xlarge",
            "autoscaling.knative.dev/maxScale": "10",
            "serving.knative.dev/routes": "sd",
            "serving.knative.dev/routingStateModified": "2026-01-01T00:00:00Z",
        },
    }
    metadata["annotations"].update(changes.pop("annotations", {}))
    spec.update(changes)
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": metadata,
        "spec": spec,
    }


def pod_template(obj: dict[str, Any]) -> dict[str, Any]:
    return make_deployment(obj, Settings())["spec"]["template"]


def test_the_pod_knows_its_port_and_its_names() -> None:
    container = pod_template(revision())["spec"]["containers"][0]
    assert {item["name"]: item["value"] for item in container["env"]} == {
        "A": "b",
        "PORT": "7860",
        "K_REVISION": "sd-00001",
        "K_CONFIGURATION": "sd",
        "K_SERVICE": "sd",
    }
    assert container["ports"] == [{"name": "http1", "containerPort": 7860, "protocol": "TCP"}]


def test_a_container_without_port_gets_8080() -> None:
    obj = revision()
    del obj["spec"]["containers"][0]["ports"]
    container = pod_template(obj)["spec"]["containers"][0]
    assert container["ports"][0]["containerPort"] == 8080
    assert container["readinessProbe"]["tcpSocket"]["port"] == 8080


def test_an_aggressive_probe_becomes_one_every_second() -> None:
    probe = pod_template(revision())["spec"]["containers"][0]["readinessProbe"]
    assert probe == {"tcpSocket": {"port": 7860}, "successThreshold": 1, "periodSeconds": 1}


def test_only_the_serving_container_of_several_gets_the_port() -> None:
    obj = revision()
    obj["spec"]["containers"].append({"name": "helper", "image": "helper:1"})
    serving, helper = pod_template(obj)["spec"]["containers"]
    assert "PORT" in {item["name"] for item in serving["env"]}
    assert "PORT" not in {item["name"] for item in helper["env"]}
    assert "ports" not in helper


def test_the_pod_carries_the_annotations_but_not_what_changes() -> None:
    metadata = pod_template(revision())["metadata"]
    assert metadata["annotations"] == {
        "k8s.aliyun.com/eci-use-specs": "ecs.gn5-c4g1.xlarge",
        "autoscaling.knative.dev/maxScale": "10",
    }
    assert metadata["labels"]["serving.knative.dev/revision"] == "sd-00001"
    assert metadata["labels"]["serving.knative.dev/revisionUID"] == "u-1"
    assert "serving.knative.dev/routingState" not in metadata["labels"]


def test_time_to_finish_is_the_request_timeout() -> None:
    spec = pod_template(revision(timeoutSeconds=42))["spec"]
    assert spec["terminationGracePeriodSeconds"] == 42
    assert "timeoutSeconds" not in spec
    assert "containerConcurrency" not in spec


@pytest.mark.parametrize(
    ("annotations", "autoscaler", "replicas"),
    [
        ({}, AutoscalerConfig(), 1),
        ({}, AutoscalerConfig(initial_scale=3), 3),
        ({"autoscaling.knative.dev/initial-scale": "2"}, AutoscalerConfig(), 2),
        ({"autoscaling.knative.dev/initialScale": "2"}, AutoscalerConfig(), 2),
        ({"autoscaling.knative.dev/initial-scale": "0"}, AutoscalerConfig(), 1),
        (
            {"autoscaling.knative.dev/initial-scale": "0"},
            AutoscalerConfig(allow_zero_initial_scale=True),
            0,
        ),
    ],
)
def test_initial_scale(
    annotations: dict[str, str], autoscaler: AutoscalerConfig, replicas: int
) -> None:
    deployment = make_deployment(revision(annotations=annotations), Settings(autoscaler=autoscaler))
    assert deployment["spec"]["replicas"] == replicas


def test_progress_deadline() -> None:
    assert make_deployment(revision(), Settings())["spec"]["progressDeadlineSeconds"] == 600
    slow = revision(annotations={"serving.knative.dev/progress-deadline": "30m"})
    assert make_deployment(slow, Settings())["spec"]["progressDeadlineSeconds"] == 1800


def test_the_pod_autoscaler_has_all_an_autoscaler_needs() -> None:
    autoscaler = make_pod_autoscaler(revision(), Settings())
    assert autoscaler["spec"] == {
        "containerConcurrency": 1,
        "protocolType": "http1",
        "reachability": "Reachable",
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "sd-00001-deployment",
        },
    }
    annotations = autoscaler["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/maxScale"] == "10"
    assert annotations["autoscaling.knative.dev/class"] == "kpa.autoscaling.knative.dev"


@pytest.mark.parametrize(("name", "port_name"), [("http1", "http"), ("h2c", "http2")])
def test_services_lead_to_the_container_port(name: str, port_name: str) -> None:
    obj = revision()
    obj["spec"]["containers"][0]["ports"][0]["name"] = name
    public, private = make_services(obj)
    assert public["metadata"]["name"] == "sd-00001"
    assert private["metadata"]["name"] == "sd-00001-private"
    for service in (public, private):
        assert service["spec"]["selector"] == {"serving.knative.dev/revision": "sd-00001"}
        assert service["spec"]["ports"] == [
            {"name": port_name, "port": 80, "protocol": "TCP", "targetPort": 7860}
        ]


@pytest.mark.parametrize(
    ("live", "desired", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({}, {"a": {}}, True),
        ({}, {"a": []}, True),
        ({}, {"a": 0}, False),
    ],
)
def test_covers(live: Any, desired: Any, expected: bool) -> None:
    assert covers(live, desired) is expected
