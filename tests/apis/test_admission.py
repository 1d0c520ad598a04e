"""What users may write, what is filled in, and how they are told what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.apis.admission import (
    admit_configuration,
    admit_domain_mapping,
    admit_ingress,
    admit_revision,
    admit_route,
    admit_service,
)
from tidegate.apis.autoscaler_config import AutoscalerConfig
from tidegate.apis.config_sections import Defaults, Features
from tidegate.apis.defaults import with_defaults
from tidegate.apis.settings import ADMISSION, Settings
from tidegate.kube.errors import BadRequest, Invalid
from tidegate.kube.objects import thaw

Obj = dict[str, Any]
Change = Callable[[Obj], object]

DENIED = (
    'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
    "validation failed: "
)
CONTAINER = "spec.template.spec.containers[0]"


@pytest.fixture(autouse=True)
def _default_settings() -> Any:
    yield
    ADMISSION.current = Settings()


def service(**spec: Any) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "hello:1"}], **spec}}},
    }


def container(obj: Obj) -> Obj:
    return obj["spec"]["template"]["spec"]["containers"][0]


def template(obj: Obj) -> Obj:
    return obj["spec"]["template"]


def annotate(obj: Obj, **annotations: str) -> None:
    metadata = template(obj).setdefault("metadata", {})
    metadata["annotations"] = {
        f"autoscaling.knative.dev/{name.replace('_', '-')}": value
        for name, value in annotations.items()
    }


def changed(change: Change) -> Obj:
    obj = service()
    change(obj)
    return obj


def refusal(obj: Obj, old: Obj | None = None) -> str:
    with pytest.raises(BadRequest) as caught:
        admit_service(obj, old, "me")
    assert caught.value.message.startswith(DENIED)
    return caught.value.message.removeprefix(DENIED)


def test_defaults_of_a_service() -> None:
    assert admit_service(service(), None, "me")["spec"] == {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "user-container",
                        "image": "hello:1",
                        "readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1},
                        "resources": {},
                    }
                ],
                "containerConcurrency": 0,
                "enableServiceLinks": False,
                "timeoutSeconds": 300,
            }
        },
        "traffic": [{"percent": 100, "latestRevision": True}],
    }


def test_the_object_given_is_not_changed() -> None:
    obj = service()
    admit_service(obj, None, "me")
    assert obj == service()


def test_defaults_settle_at_once() -> None:
    once = admit_service(service(), None, "me")
    assert admit_service(once, once, "me") == once


def test_probes_with_a_period_get_thresholds() -> None:
    obj = changed(
        lambda o: container(o).update(readinessProbe={"httpGet": {"path": "/"}, "periodSeconds": 1})
    )
    assert container(admit_service(obj, None, "me"))["readinessProbe"] == {
        "httpGet": {"path": "/"},
        "periodSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
        "timeoutSeconds": 1,
    }


def test_several_containers_are_numbered_and_only_one_is_probed() -> None:
    obj = service()
    obj["spec"]["template"]["spec"]["containers"] = [
        {"image": "a:1", "ports": [{"containerPort": 9000}]},
        {"image": "b:1"},
    ]
    containers = template(admit_service(obj, None, "me"))["spec"]["containers"]
    assert [item["name"] for item in containers] == ["user-container-0", "user-container-1"]
    assert "readinessProbe" in containers[0]
    assert "readinessProbe" not in containers[1]


def test_mounts_are_read_only_unless_the_volume_is_empty() -> None:
    obj = service(
        volumes=[
            {"name": "conf", "configMap": {"name": "c"}},
            {"name": "scratch", "emptyDir": {}},
        ]
    )
    container(obj)["volumeMounts"] = [
        {"name": "conf", "mountPath": "/conf"},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    mounts = container(admit_service(obj, None, "me"))["volumeMounts"]
    assert [item.get("readOnly") for item in mounts] == [True, None]


def test_cluster_defaults_count() -> None:
    ADMISSION.current = Settings(
        defaults=Defaults(
            revision_timeout_seconds=60,
            revision_response_start_timeout_seconds=30,
            container_concurrency=4,
            revision_cpu_request="100m",
            revision_memory_limit="1Gi",
        )
    )
    spec = template(admit_service(service(), None, "me"))["spec"]
    assert spec["timeoutSeconds"] == 60
    assert spec["responseStartTimeoutSeconds"] == 30
    assert spec["containerConcurrency"] == 4
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "100m"},
        "limits": {"memory": "1Gi"},
    }


def test_objects_that_were_never_admitted_get_their_defaults_later() -> None:
    raw = service()
    assert with_defaults(raw, Settings())["spec"] == admit_service(raw, None, "me")["spec"]
    assert raw == service()


def test_objects_that_were_admitted_keep_their_defaults() -> None:
    admitted = admit_service(service(), None, "me")
    later = Settings(defaults=Defaults(revision_cpu_request="1"))
    assert with_defaults(admitted, later) is admitted


def test_authors_are_noted() -> None:
    created = admit_service(service(), None, "alice")
    keys = ("serving.knative.dev/creator", "serving.knative.dev/lastModifier")
    assert [created["metadata"]["annotations"][key] for key in keys] == ["alice", "alice"]
    same = admit_service(created, created, "bob")
    assert [same["metadata"]["annotations"][key] for key in keys] == ["alice", "alice"]
    new = thaw(created)
    container(new)["image"] = "hello:2"
    del new["metadata"]["annotations"]
    later = admit_service(new, created, "bob")
    assert [later["metadata"]["annotations"][key] for key in keys] == ["alice", "bob"]
    forged = thaw(created)
    forged["metadata"]["annotations"]["serving.knative.dev/creator"] = "mallory"
    assert refusal(forged, created) == (
        "annotation value is immutable: metadata.annotations.serving.knative.dev/creator"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda o: container(o).pop("image"),
            f"missing field(s): {CONTAINER}.image",
            id="image missing",
        ),
        pytest.param(
            lambda o: container(o).update(image="Not An Image"),
            f"Failed to parse image reference: {CONTAINER}.image\n"
            'image: "Not An Image", error: could not parse reference: Not An Image',
            id="image unreadable",
        ),
        pytest.param(
            lambda o: o["spec"].pop("template"),
            "missing field(s): spec.template.spec.containers",
            id="template missing",
        ),
        pytest.param(
            lambda o: container(o).update(lifecycle={}),
            f"must not set the field(s): {CONTAINER}.lifecycle",
            id="lifecycle",
        ),
        pytest.param(
            lambda o: container(o).update(ports=[{"containerPort": 80, "hostPort": 80}]),
            f"must not set the field(s): {CONTAINER}.ports[0].hostPort",
            id="hostPort",
        ),
        pytest.param(
            lambda o: template(o)["spec"].update(nodeSelector={"a": "b"}),
            "must not set the field(s): spec.template.spec.nodeSelector",
            id="gated",
        ),
        pytest.param(
            lambda o: template(o)["spec"].update(automountServiceAccountToken=True),
            "must not set the field(s): spec.template.spec.automountServiceAccountToken",
            id="token",
        ),
        pytest.param(
            lambda o: template(o)["spec"].update(initContainers=[{"image": "i:1"}]),
            "pod spec support for init-containers is off, but found 1 init containers: "
            "spec.template.spec",
            id="init containers",
        ),
        pytest.param(
            lambda o: template(o)["spec"].update(containerConcurrency=1001),
            "expected 0 <= 1001 <= 1000: spec.template.spec.containerConcurrency",
            id="concurrency",
        ),
        pytest.param(
            lambda o: template(o)["spec"].update(timeoutSeconds=601),
            "expected 0 <= 601 <= 600: spec.template.spec.timeoutSeconds",
            id="timeout",
        ),
        pytest.param(
            lambda o: container(o).update(name="queue-proxy"),
            f'"queue-proxy" is a reserved container name: {CONTAINER}.name',
            id="reserved name",
        ),
        pytest.param(
            lambda o: container(o).update(name="Big Name"),
            f"invalid value: Big Name: {CONTAINER}.name\n"
            "must be a DNS label: lower case letters, digits and '-'",
            id="container name",
        ),
        pytest.param(
            lambda o: container(o).update(resources={"limits": {"memory": "2 GB"}}),
            f"invalid value: 2 GB: {CONTAINER}.resources.limits.memory\n"
            "must be a quantity that is not negative, e.g. 500m, 2 or 1.5Gi",
            id="quantity",
        ),
        pytest.param(
            lambda o: container(o).update(env=[{"name": "PORT", "value": "1"}]),
            f'"PORT" is a reserved environment variable: {CONTAINER}.env[0].name',
            id="reserved variable",
        ),
        pytest.param(
            lambda o: container(o).update(ports=[{"containerPort": 8012}]),
            f"invalid value: 8012 is a reserved port: {CONTAINER}.ports.containerPort\n"
            "8012 is a reserved port, please use a different value",
            id="reserved port",
        ),
        pytest.param(
            lambda o: container(o).update(ports=[{"name": "web"}]),
            f"Port name web is not allowed: {CONTAINER}.ports\n"
            "Name must be empty, or one of: 'h2c', 'http1'",
            id="port name",
        ),
        pytest.param(
            lambda o: container(o).update(ports=[{"containerPort": 1}, {"containerPort": 2}]),
            "more than one container port is set: spec.template.spec.containers[*].ports\n"
            "Only a single port is allowed across all containers",
            id="two ports",
        ),
        pytest.param(
            lambda o: template(o)["spec"]["containers"].append({"image": "b:1"}),
            "missing field(s): spec.template.spec.containers[*].ports",
            id="two containers without port",
        ),
        pytest.param(
            lambda o: container(o).update(volumeMounts=[{"name": "x", "mountPath": "/x"}]),
            f"volumeMount has no matching volume: {CONTAINER}.volumeMounts[0].name",
            id="mount without volume",
        ),
        pytest.param(
            lambda o: template(o)["spec"].update(volumes=[{"name": "v", "emptyDir": {}}]),
            'volume with name "v" not mounted: spec.template.spec.volumes[0].name',
            id="volume without mount",
        ),
        pytest.param(
            lambda o: container(o).update(
                livenessProbe={"httpGet": {"port": 1}, "tcpSocket": {"port": 1}}
            ),
            f"expected exactly one, got both: {CONTAINER}.livenessProbe.httpGet, "
            f"{CONTAINER}.livenessProbe.tcpSocket",
            id="two handlers",
        ),
        pytest.param(
            lambda o: container(o).update(readinessProbe={"failureThreshold": 3}),
            "failureThreshold is disallowed when periodSeconds is zero: "
            f"{CONTAINER}.readinessProbe.failureThreshold",
            id="aggressive with threshold",
        ),
        pytest.param(
            lambda o: container(o).update(securityContext={"runAsUser": -1}),
            f"expected 0 <= -1 <= 2147483647: {CONTAINER}.securityContext.runAsUser",
            id="user id",
        ),
        pytest.param(
            lambda o: o["spec"].update(
                traffic=[{"latestRevision": True, "percent": 95}],
            ),
            "Traffic targets sum to 95, want 100: spec.traffic",
            id="percents",
        ),
        pytest.param(
            lambda o: o["spec"].update(
                traffic=[{"percent": 101}, {"percent": -1, "revisionName": "hello-1"}],
            ),
            "expected 0 <= -1 <= 100: spec.traffic[1].percent\n"
            "expected 0 <= 101 <= 100: spec.traffic[0].percent",
            id="percent range",
        ),
        pytest.param(
            lambda o: o["spec"].update(
                traffic=[
                    {"percent": 50, "tag": "a"},
                    {"percent": 50, "tag": "a", "revisionName": "hello-1"},
                ],
            ),
            'Multiple definitions for "a": spec.traffic[0].tag, spec.traffic[1].tag',
            id="equal tags",
        ),
        pytest.param(
            lambda o: o["spec"].update(
                traffic=[{"percent": 100, "revisionName": "hello-1", "latestRevision": True}],
            ),
            'may not set revisionName "hello-1" when latestRevision is true: '
            "spec.traffic[0].latestRevision",
            id="pinned and latest",
        ),
        pytest.param(
            lambda o: o["spec"].update(
                traffic=[{"percent": 100, "configurationName": "hello"}],
            ),
            "must not set the field(s): spec.traffic[0].configurationName",
            id="configuration in a Service",
        ),
        pytest.param(
            lambda o: o["metadata"].update(
                annotations={"autoscaling.knative.dev/minScale": "1"},
            ),
            'invalid key name "autoscaling.knative.dev/minScale": metadata.annotations\n'
            'autoscaling annotations must be put under "spec.template.metadata.annotations" '
            "to work",
            id="scaling annotation in the wrong place",
        ),
        pytest.param(
            lambda o: o["metadata"].update(
                annotations={"serving.knative.dev/rollout-duration": "1.5s"},
            ),
            "rollout-duration=1.5s is not at second precision: "
            "metadata.annotations.serving.knative.dev/rollout-duration",
            id="rollout duration",
        ),
        pytest.param(
            lambda o: o["metadata"].update(labels={"networking.knative.dev/visibility": "x"}),
            "invalid value: x: metadata.labels.networking.knative.dev/visibility",
            id="visibility",
        ),
        pytest.param(
            lambda o: template(o).update(metadata={"name": "other-1"}),
            'invalid value: "other-1" must have prefix "hello-": spec.template.metadata.name',
            id="foreign revision name",
        ),
    ],
)
def test_refusals_name_the_field(change: Change, message: str) -> None:
    assert refusal(changed(change)) == message


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"min_scale": "x"}, "invalid value: x: {}min-scale"),
        ({"min_scale": "-1"}, "expected 0 <= -1 <= 2147483647: {}min-scale"),
        (
            {"min_scale": "5", "max_scale": "2"},
            "max-scale=2 is less than min-scale=5: {}max-scale, {}min-scale",
        ),
        ({"class": "foo.autoscaling.knative.dev"}, "invalid value: foo.{}class"),
        ({"target": "0.001"}, "target 0.001 should be at least 0.01: {}target"),
        (
            {"target_utilization_percentage": "0"},
            "expected 1 <= 0 <= 100: {}target-utilization-percentage",
        ),
        ({"window": "5s"}, "expected 6s <= 5s <= 1h0m0s: {}window"),
        ({"window": "60.5s"}, "must be specified with at most second precision: {}window"),
        ({"metric": "cpu"}, "invalid value: cpu: {}metric"),
        ({"initial_scale": "0"}, "invalid value: 0: {}initial-scale=0 not allowed by cluster"),
        (
            {"activation_scale": "1"},
            "activation-scale=1 must be greater than 1: {}activation-scale",
        ),
        ({"target_burst_capacity": "-2"}, "invalid value: -2: {}target-burst-capacity"),
    ],
)
def test_scaling_annotations_are_checked(annotations: dict[str, str], message: str) -> None:
    text = refusal(changed(lambda o: annotate(o, **annotations)))
    prefix = "spec.template.metadata.annotations.autoscaling.knative.dev/"
    if "class" in annotations:
        assert text == f"invalid value: {annotations['class']}: {prefix}class"
    else:
        assert text == message.replace("{}", prefix)


def test_the_metrics_of_a_class_are_its_own() -> None:
    prefix = "spec.template.metadata.annotations.autoscaling.knative.dev/"
    for scaler, metric in (("kpa", "memory"), ("hpa", "")):
        annotations = {"class": f"{scaler}.autoscaling.knative.dev", "metric": metric}
        text = refusal(changed(lambda o, given=annotations: annotate(o, **given)))
        assert text == f"invalid value: {metric}: {prefix}metric"


@pytest.mark.parametrize(
    "annotations",
    [
        {"class": "mpa.autoscaling.knative.dev", "metric": "anything"},
        {"class": "hpa.autoscaling.knative.dev", "metric": "cpu", "target": "70"},
        {"class": "hpa.autoscaling.knative.dev", "metric": "memory", "target": "256"},
        {"class": "scaler.example.com"},
        {"window": "1h", "scale_down_delay": "15m", "target": "0.5"},
        {"max_scale": "0", "min_scale": "3", "target_burst_capacity": "-1"},
        {"activation_scale": "3", "max_scale": "5"},
    ],
)
def test_good_scaling_annotations_pass(annotations: dict[str, str]) -> None:
    admit_service(changed(lambda o: annotate(o, **annotations)), None, "me")


def test_the_cluster_limits_the_scale() -> None:
    ADMISSION.current = Settings(autoscaler=AutoscalerConfig(max_scale_limit=10))
    assert "expected 1 <= 11 <= 10" in refusal(changed(lambda o: annotate(o, max_scale="11")))
    assert "max-scale=0 (unlimited)" in refusal(changed(lambda o: annotate(o, max_scale="0")))


def test_a_feature_allows_its_field() -> None:
    ADMISSION.current = Settings(features=Features({"kubernetes.podspec-nodeselector": "enabled"}))
    admit_service(service(nodeSelector={"a": "b"}), None, "me")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda o: o["spec"].update(tempalte={}), "spec.tempalte"),
        (lambda o: container(o).update(imag="x"), f"{CONTAINER}.imag"),
        (lambda o: o["spec"].update(restartPolicy="Never"), "spec.restartPolicy"),
    ],
)
def test_unknown_fields_are_named(change: Change, path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        admit_service(changed(change), None, "me")
    assert caught.value.message == (
        'Service in version "v1" cannot be handled as a Service: '
        f'strict decoding error: unknown field "{path}"'
    )


def test_wrong_types_are_named() -> None:
    obj = changed(lambda o: template(o)["spec"].update(containerConcurrency="1"))
    with pytest.raises(Invalid) as caught:
        admit_service(obj, None, "me")
    path = "spec.template.spec.containerConcurrency"
    assert caught.value.message == (
        f'Service.serving.knative.dev "hello" is invalid: {path}: Invalid value: "string": '
        f'{path} in body must be of type integer: "string"'
    )
    assert [cause.field for cause in caught.value.causes] == [path]


def test_null_means_missing() -> None:
    obj = changed(lambda o: container(o).update(command=None, resources=None))
    assert "command" not in container(admit_service(obj, None, "me"))


def test_a_named_template_changes_only_with_its_name() -> None:
    obj = changed(lambda o: template(o).update(metadata={"name": "hello-blue"}))
    old = admit_service(obj, None, "me")
    new = thaw(old)
    container(new)["image"] = "hello:2"
    text = refusal(new, old)
    assert text.startswith(
        "Saw the following changes without a name change (-old +new): spec.template.metadata.name\n"
    )
    assert "hello:2" in text
    template(new)["metadata"]["name"] = "hello-green"
    admit_service(new, old, "me")


def test_new_cluster_defaults_do_not_change_a_named_template() -> None:
    obj = changed(lambda o: template(o).update(metadata={"name": "hello-blue"}))
    old = admit_service(obj, None, "me")
    ADMISSION.current = Settings(defaults=Defaults(revision_cpu_request="1"))
    assert admit_service(old, old, "me")["spec"] == old["spec"]


def test_revisions_never_change() -> None:
    obj: Obj = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": "hello-1", "namespace": "default"},
        "spec": {"containers": [{"image": "hello:1"}]},
    }
    old = admit_revision(obj, None, "me")
    new = thaw(old)
    new["metadata"]["labels"] = {"mine": "yes"}
    admit_revision(new, old, "me")
    new["spec"]["containerConcurrency"] = 7
    with pytest.raises(BadRequest, match=r"Immutable fields changed \(-old \+new\): spec"):
        admit_revision(new, old, "me")


def test_routes_need_a_target() -> None:
    route: Obj = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"traffic": [{"percent": 100}]},
    }
    with pytest.raises(BadRequest, match="expected exactly one, got neither"):
        admit_route(route, None, "me")
    route["spec"] = {}
    with pytest.raises(BadRequest, match="Traffic targets sum to 0, want 100"):
        admit_route(route, None, "me")


def test_a_label_of_an_owner_must_be_true() -> None:
    configuration: Obj = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Configuration",
        "metadata": {
            "name": "hello",
            "namespace": "default",
            "labels": {"serving.knative.dev/service": "hello"},
        },
        "spec": service()["spec"],
    }
    with pytest.raises(BadRequest, match=r"missing field\(s\): metadata.labels"):
        admit_configuration(configuration, None, "me")


@pytest.mark.parametrize(
    ("name", "reference", "message"),
    [
        ("models.example.org", {}, "missing field(s): spec.ref.apiVersion, spec.ref.kind"),
        (
            "a.svc.cluster.local",
            {"kind": "Service", "name": "hello"},
            "must not be a subdomain of cluster local domain",
        ),
        (
            "models.example.org",
            {"kind": "Service", "name": "hello", "namespace": "other"},
            "mismatched namespaces",
        ),
    ],
)
def test_domain_mappings_are_checked(name: str, reference: Obj, message: str) -> None:
    mapping: Obj = {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ref": reference},
    }
    with pytest.raises(BadRequest) as caught:
        admit_domain_mapping(mapping, None, "me")
    assert message in caught.value.message


def test_ingress_percents_must_sum_to_100() -> None:
    splits = [{"serviceName": "a", "percent": 50}, {"serviceName": "b", "percent": 40}]
    ingress: Obj = {
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"rules": [{"hosts": ["a.b"], "http": {"paths": [{"splits": splits}]}}]},
    }
    with pytest.raises(BadRequest, match="must total to 100, but was 90"):
        admit_ingress(ingress, None, "me")


def test_what_is_being_deleted_is_not_held_back() -> None:
    old = admit_service(service(), None, "me")
    ADMISSION.current = Settings(defaults=Defaults(max_revision_timeout_seconds=10))
    leaving = thaw(old)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    leaving["metadata"]["finalizers"] = []
    admit_service(leaving, old, "me")
