"""What users may write, what is filled in, and how they are told what is wrong."""

from __future__ import annotations

import pytest

from tests.apis.services import (
    Change,
    Obj,
    changed,
    container,
    refusal,
    service,
    template,
)
from tidegate.apis.admission import (
    admit_configuration,
    admit_domain_mapping,
    admit_ingress,
    admit_revision,
    admit_route,
    admit_service,
)
from tidegate.apis.config_sections import Defaults, Features
from tidegate.apis.settings import ADMISSION, Settings
from tidegate.kube.errors import BadRequest, Invalid
from tidegate.kube.objects import thaw

CONTAINER = "spec.template.spec.containers[0]"


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


def test_a_feature_allows_its_field() -> None:
    chosen = service(nodeSelector={"a": "b"})
    assert refusal(chosen) == "must not set the field(s): spec.template.spec.nodeSelector"
    ADMISSION.current = Settings(features=Features({"kubernetes.podspec-nodeselector": "enabled"}))
    assert template(admit_service(chosen, None, "me"))["spec"]["nodeSelector"] == {"a": "b"}


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
    # Later defaults would refuse it: its time limit is longer than the longest.
    altered = thaw(old)
    template(altered)["metadata"] = {"labels": {"a": "b"}}
    assert "timeoutSeconds" in refusal(altered, old)
    altered["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert template(admit_service(altered, old, "me"))["metadata"]["labels"] == {"a": "b"}
