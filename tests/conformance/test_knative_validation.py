"""Section 1.5: what Knative refuses, and the words in which it does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.knative import (
    SCALING,
    Api,
    Obj,
    container_of,
    pod_spec,
    service,
    with_annotations,
    with_spec,
    with_template_name,
)

TEMPLATE = "spec.template.spec"
CONTAINER = f"{TEMPLATE}.containers[0]"
ANNOTATIONS = "spec.template.metadata.annotations"
SIDECAR = "queue.sidecar.serving.knative.dev"
DNS_1035 = "not a DNS 1035 label: [a DNS-1035 label must consist of lower case alphanumeric"


def with_traffic(*targets: Obj) -> Obj:
    obj = service()
    obj["spec"]["traffic"] = list(targets)
    return obj


def with_metadata(**fields: Any) -> Obj:
    obj = service()
    obj["metadata"].update(fields)
    return obj


def with_volume(source: Obj, *, mounted: bool = True, **mount: Any) -> Obj:
    obj = service()
    if mounted:
        container_of(obj)["volumeMounts"] = [{"name": "v", "mountPath": "/v", **mount}]
    pod_spec(obj)["volumes"] = [{"name": "v", **source}]
    return obj


def named(name: str) -> Obj:
    return with_spec(containers=[{"image": "counter", "name": name}])


def two(first: Obj, second: Obj) -> Obj:
    return with_spec(
        containers=[{"image": "counter", **first}, {"image": "counter", "name": "side", **second}]
    )


PORT: Obj = {"ports": [{"containerPort": 8080}]}
READY: Obj = {"tcpSocket": {}, "successThreshold": 1}
REFUSED: dict[str, tuple[Obj, str]] = {
    # Names
    "service name": (with_metadata(name="1st"), f"{DNS_1035}"),
    "service name with dots": (with_metadata(name="a.b"), f"{DNS_1035}"),
    "revision name prefix": (
        with_template_name("other-one"),
        'invalid value: "other-one" must have prefix "hello-": spec.template.metadata.name',
    ),
    "revision name syntax": (
        with_template_name("hello-One"),
        f"invalid value: {DNS_1035}",
    ),
    "container name": (
        named("queue-proxy"),
        f'"queue-proxy" is a reserved container name: {CONTAINER}.name',
    ),
    "container name syntax": (named("A_b"), f"invalid value: A_b: {CONTAINER}.name"),
    # Traffic
    "sum below": (
        with_traffic({"latestRevision": True, "percent": 99}),
        "Traffic targets sum to 99, want 100: spec.traffic",
    ),
    "sum above": (
        with_traffic(
            {"latestRevision": True, "percent": 100}, {"revisionName": "hello-1", "percent": 1}
        ),
        "Traffic targets sum to 101, want 100: spec.traffic",
    ),
    "percent": (
        with_traffic(
            {"latestRevision": True, "percent": 101}, {"revisionName": "hello-1", "percent": -1}
        ),
        "expected 0 <= -1 <= 100: spec.traffic[1].percent\n"
        "expected 0 <= 101 <= 100: spec.traffic[0].percent",
    ),
    "tag twice": (
        with_traffic(
            {"latestRevision": True, "percent": 100, "tag": "a"},
            {"revisionName": "hello-1", "tag": "a"},
        ),
        'Multiple definitions for "a": spec.traffic[0].tag, spec.traffic[1].tag',
    ),
    "tag syntax": (
        with_traffic({"latestRevision": True, "percent": 100, "tag": "A"}),
        f"invalid value: {DNS_1035}",
    ),
    "latest of a named revision": (
        with_traffic({"latestRevision": True, "revisionName": "hello-1", "percent": 100}),
        'may not set revisionName "hello-1" when latestRevision is true: '
        "spec.traffic[0].latestRevision",
    ),
    "neither latest nor named": (
        with_traffic({"latestRevision": False, "percent": 100}),
        'may not set revisionName "" when latestRevision is false: spec.traffic[0].latestRevision',
    ),
    "configuration": (
        with_traffic({"configurationName": "hello", "percent": 100}),
        "must not set the field(s): spec.traffic[0].configurationName",
    ),
    "url": (
        with_traffic({"latestRevision": True, "percent": 100, "url": "http://x"}),
        "must not set the field(s): spec.traffic[0].url",
    ),
    "revision name in traffic": (
        with_traffic({"revisionName": "a b", "percent": 100}),
        'invalid key name "a b": spec.traffic[0].revisionName',
    ),
    # Containers and ports
    "no container": (with_spec(containers=[]), f"missing field(s): {TEMPLATE}.containers"),
    "no image": (with_spec(containers=[{}]), f"missing field(s): {CONTAINER}.image"),
    "image": (
        service(image="not an image"),
        f"Failed to parse image reference: {CONTAINER}.image\n"
        'image: "not an image", error: could not parse reference: not an image',
    ),
    "two serving containers": (
        two(PORT, PORT),
        f"more than one container port is set: {TEMPLATE}.containers[*].ports\n"
        "Only a single port is allowed across all containers",
    ),
    "two ports": (
        service(ports=[{"containerPort": 1}, {"containerPort": 2}]),
        f"more than one container port is set: {TEMPLATE}.containers[*].ports\n"
        "Only a single port is allowed across all containers",
    ),
    "no serving container": (two({}, {}), f"missing field(s): {TEMPLATE}.containers[*].ports"),
    "one name for two": (
        two({"name": "side", **PORT}, {}),
        f'duplicate container name "side": {TEMPLATE}.containers[1].name',
    ),
    "port name": (
        service(ports=[{"name": "grpc"}]),
        f"Port name grpc is not allowed: {CONTAINER}.ports\n"
        "Name must be empty, or one of: 'h2c', 'http1'",
    ),
    "protocol": (
        service(ports=[{"protocol": "UDP"}]),
        f"invalid value: UDP: {CONTAINER}.ports.protocol",
    ),
    "port range": (
        service(ports=[{"containerPort": 65536}]),
        f"expected 0 <= 65536 <= 65535: {CONTAINER}.ports.containerPort",
    ),
    # Rights
    "privileged": (
        service(securityContext={"privileged": True}),
        f"must not set the field(s): {CONTAINER}.securityContext.privileged",
    ),
    "capability": (
        service(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}}),
        f"must not set the field(s): {CONTAINER}.securityContext.capabilities.add",
    ),
    # Resources
    "quantity": (
        service(resources={"limits": {"memory": "lots"}}),
        f"invalid value: lots: {CONTAINER}.resources.limits.memory",
    ),
    "negative quantity": (
        service(resources={"requests": {"cpu": "-1"}}),
        f"invalid value: -1: {CONTAINER}.resources.requests.cpu",
    ),
    "request above limit": (
        service(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}),
        f"invalid value: 2: {CONTAINER}.resources.requests.cpu\n"
        "must be less than or equal to cpu limit of 1500m",
    ),
    # Environment
    "env without name": (
        service(env=[{"value": "x"}]),
        f"missing field(s): {CONTAINER}.env[0].name",
    ),
    "env name": (
        service(env=[{"name": "A=B", "value": "x"}]),
        f"invalid value: A=B: {CONTAINER}.env[0].name",
    ),
    "envFrom neither": (
        service(envFrom=[{"prefix": "X"}]),
        "expected exactly one, got neither: "
        f"{CONTAINER}.envFrom[0].configMapRef, {CONTAINER}.envFrom[0].secretRef",
    ),
    "envFrom both": (
        service(envFrom=[{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]),
        "expected exactly one, got both: "
        f"{CONTAINER}.envFrom[0].configMapRef, {CONTAINER}.envFrom[0].secretRef",
    ),
    "value and source": (
        service(
            env=[
                {
                    "name": "A",
                    "valueFrom": {
                        "configMapKeyRef": {"name": "a", "key": "k"},
                        "secretKeyRef": {"name": "b", "key": "k"},
                    },
                }
            ]
        ),
        "expected exactly one, got both: "
        f"{CONTAINER}.env[0].valueFrom.configMapKeyRef, {CONTAINER}.env[0].valueFrom.secretKeyRef",
    ),
    # Probes
    "probe with two handlers": (
        service(livenessProbe={"tcpSocket": {}, "exec": {"command": ["true"]}}),
        "expected exactly one, got both: "
        f"{CONTAINER}.livenessProbe.exec, {CONTAINER}.livenessProbe.tcpSocket",
    ),
    "probe with none": (
        service(livenessProbe={"periodSeconds": 3}),
        "expected exactly one, got neither: "
        f"{CONTAINER}.livenessProbe.exec, {CONTAINER}.livenessProbe.grpc, "
        f"{CONTAINER}.livenessProbe.httpGet, {CONTAINER}.livenessProbe.tcpSocket",
    ),
    "aggressive probe with timeout": (
        service(readinessProbe={**READY, "timeoutSeconds": 2}),
        f"timeoutSeconds is disallowed when periodSeconds is zero: "
        f"{CONTAINER}.readinessProbe.timeoutSeconds",
    ),
    "aggressive probe with failures": (
        service(readinessProbe={**READY, "failureThreshold": 2}),
        f"failureThreshold is disallowed when periodSeconds is zero: "
        f"{CONTAINER}.readinessProbe.failureThreshold",
    ),
    "period": (
        service(readinessProbe={**READY, "periodSeconds": -1}),
        f"expected 0 <= -1 <= 2147483647: {CONTAINER}.readinessProbe.periodSeconds",
    ),
    "delay": (
        service(readinessProbe={**READY, "initialDelaySeconds": -1}),
        f"expected 0 <= -1 <= 2147483647: {CONTAINER}.readinessProbe.initialDelaySeconds",
    ),
    "successes": (
        service(readinessProbe={**READY, "successThreshold": -1}),
        f"expected 1 <= -1 <= 2147483647: {CONTAINER}.readinessProbe.successThreshold",
    ),
    "probe timeout": (
        service(readinessProbe={**READY, "periodSeconds": 1, "timeoutSeconds": -1}),
        f"expected 1 <= -1 <= 2147483647: {CONTAINER}.readinessProbe.timeoutSeconds",
    ),
    "failures": (
        service(readinessProbe={**READY, "periodSeconds": 1, "failureThreshold": -1}),
        f"expected 1 <= -1 <= 2147483647: {CONTAINER}.readinessProbe.failureThreshold",
    ),
    "probe of another port": (
        service(livenessProbe={"httpGet": {"port": "admin"}}, **PORT),
        f"invalid value: admin: {CONTAINER}.livenessProbe.httpGet.port\n"
        "Probe port must match container port",
    ),
    "probe of a sidecar": (
        two(PORT, {"livenessProbe": {"tcpSocket": {"port": 1}}}),
        f"must not set the field(s): {TEMPLATE}.containers[1].livenessProbe.tcpSocket",
    ),
    # Volumes and mounts
    "volume that is not mounted": (
        with_volume({"emptyDir": {}}, mounted=False),
        f'volume with name "v" not mounted: {TEMPLATE}.volumes[0].name',
    ),
    "mount without volume": (
        service(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        f"volumeMount has no matching volume: {CONTAINER}.volumeMounts[0].name",
    ),
    "volume without source": (
        with_volume({}),
        f"expected exactly one, got neither: {TEMPLATE}.volumes[0].",
    ),
    "volume with two sources": (
        with_volume({"emptyDir": {}, "secret": {"secretName": "s"}}),
        "expected exactly one, got both: "
        f"{TEMPLATE}.volumes[0].emptyDir, {TEMPLATE}.volumes[0].secret",
    ),
    "mount path": (
        with_volume({"emptyDir": {}}, mountPath="relative"),
        f"invalid value: relative: {CONTAINER}.volumeMounts[0].mountPath",
    ),
    "no mount path": (
        with_volume({"emptyDir": {}}, mountPath=""),
        f"missing field(s): {CONTAINER}.volumeMounts[0].mountPath",
    ),
    "emptyDir medium": (
        with_volume({"emptyDir": {"medium": "Tape"}}),
        f"invalid value: Tape: {TEMPLATE}.volumes[0].emptyDir.medium",
    ),
    "emptyDir size": (
        with_volume({"emptyDir": {"sizeLimit": "-1Gi"}}),
        f"invalid value: -1Gi: {TEMPLATE}.volumes[0].emptyDir.sizeLimit",
    ),
    "projection without source": (
        with_volume({"projected": {"sources": [{}]}}),
        f"expected exactly one, got neither: {TEMPLATE}.volumes[0].projected[0].",
    ),
    "token without path": (
        with_volume({"projected": {"sources": [{"serviceAccountToken": {}}]}}),
        f"missing field(s): {TEMPLATE}.volumes[0].projected[0].serviceAccountToken.path",
    ),
    # Revision
    "timeout": (
        with_spec(timeoutSeconds=601),
        f"expected 0 <= 601 <= 600: {TEMPLATE}.timeoutSeconds",
    ),
    "negative timeout": (
        with_spec(timeoutSeconds=-1),
        f"expected 0 <= -1 <= 600: {TEMPLATE}.timeoutSeconds",
    ),
    "concurrency": (
        with_spec(containerConcurrency=1001),
        f"expected 0 <= 1001 <= 1000: {TEMPLATE}.containerConcurrency",
    ),
    "service account": (
        with_spec(serviceAccountName="Bad_Name"),
        f"invalid value: Bad_Name: {TEMPLATE}.serviceAccountName",
    ),
    "token mount": (
        with_spec(automountServiceAccountToken=True),
        f"must not set the field(s): {TEMPLATE}.automountServiceAccountToken",
    ),
    # Labels and annotations
    "scaling of a service": (
        with_metadata(annotations={f"{SCALING}/min-scale": "1"}),
        f'invalid key name "{SCALING}/min-scale": metadata.annotations\n'
        'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
    ),
    "networking key": (
        with_metadata(annotations={"networking.knative.dev/nonsense": "1"}),
        'invalid key name "networking.knative.dev/nonsense": metadata.annotations',
    ),
    "visibility": (
        with_metadata(labels={"networking.knative.dev/visibility": "secret"}),
        "invalid value: secret: metadata.labels.networking.knative.dev/visibility",
    ),
    "serving label": (
        with_metadata(labels={"serving.knative.dev/nonsense": "1"}),
        'invalid key name "serving.knative.dev/nonsense": metadata.labels',
    ),
    "rollout duration": (
        with_metadata(annotations={"serving.knative.dev/rollout-duration": "soon"}),
        "invalid value: soon: metadata.annotations.serving.knative.dev/rollout-duration",
    ),
    "rollout duration precision": (
        with_metadata(annotations={"serving.knative.dev/rollout-duration": "1500ms"}),
        "rollout-duration=1500ms is not at second precision: "
        "metadata.annotations.serving.knative.dev/rollout-duration",
    ),
    "rollout duration in camel case": (
        with_metadata(annotations={"serving.knative.dev/rolloutDuration": "1500ms"}),
        "rollout-duration=1500ms is not at second precision: "
        "metadata.annotations.serving.knative.dev/rolloutDuration",
    ),
    "rollout duration sign": (
        with_metadata(annotations={"serving.knative.dev/rollout-duration": "-5s"}),
        "rollout-duration=-5s must be positive: "
        "metadata.annotations.serving.knative.dev/rollout-duration",
    ),
    "progress deadline": (
        with_annotations({"serving.knative.dev/progress-deadline": "soon"}),
        f"invalid value: soon: {ANNOTATIONS}.serving.knative.dev/progress-deadline",
    ),
    "progress deadline precision": (
        with_annotations({"serving.knative.dev/progress-deadline": "1500ms"}),
        "progress-deadline=1500ms is not at second precision: "
        f"{ANNOTATIONS}.serving.knative.dev/progress-deadline",
    ),
    "progress deadline sign": (
        with_annotations({"serving.knative.dev/progress-deadline": "-5s"}),
        "progress-deadline=-5s must be positive: "
        f"{ANNOTATIONS}.serving.knative.dev/progress-deadline",
    ),
    "sidecar share": (
        with_annotations({f"{SIDECAR}/resource-percentage": "101"}),
        f"expected 0.1 <= 101 <= 100: {ANNOTATIONS}[{SIDECAR}/resource-percentage]",
    ),
    "sidecar resource": (
        with_annotations({f"{SIDECAR}/cpu-resource-request": "much"}),
        f"invalid value: much: {ANNOTATIONS}.{SIDECAR}/cpu-resource-request",
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused_in_knatives_words(api: Api, case: str) -> None:
    obj, message = REFUSED[case]
    assert message in api.refusal("services", obj)


@pytest.mark.parametrize("port", [8012, 8013, 8022, 9090, 9091, 8008])
def test_ports_of_the_sidecar_are_reserved(api: Api, port: int) -> None:
    message = api.refusal("services", service(ports=[{"containerPort": port}]))
    assert message == (
        f"invalid value: {port} is a reserved port: {CONTAINER}.ports.containerPort\n"
        f"{port} is a reserved port, please use a different value"
    )


@pytest.mark.parametrize("name", ["PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"])
def test_variables_of_the_contract_are_reserved(api: Api, name: str) -> None:
    message = api.refusal("services", service(env=[{"name": name, "value": "x"}]))
    assert message == f'"{name}" is a reserved environment variable: {CONTAINER}.env[0].name'


@pytest.mark.parametrize("path", ["/", "/dev", "/dev/log", "/dev/", "//"])
def test_paths_of_the_system_are_reserved(api: Api, path: str) -> None:
    message = api.refusal("services", with_volume({"emptyDir": {}}, mountPath=path))
    assert f"is a reserved path: {CONTAINER}.volumeMounts[0].mountPath" in message


@pytest.mark.parametrize("field", ["runAsUser", "runAsGroup"])
@pytest.mark.parametrize("value", [-1, 2**31])
def test_ids_have_bounds(api: Api, field: str, value: int) -> None:
    message = api.refusal("services", service(securityContext={field: value}))
    path = f"{CONTAINER}.securityContext.{field}"
    assert message == f"expected 0 <= {value} <= 2147483647: {path}"


GOOD: dict[str, Obj] = {
    "port named h2c": service(ports=[{"name": "h2c", "containerPort": 9000}]),
    "port named http1": service(ports=[{"name": "http1"}]),
    "named probe port": service(
        ports=[{"name": "http1"}], livenessProbe={"httpGet": {"port": "http1"}}
    ),
    "highest user": service(securityContext={"runAsUser": 2**31 - 1}),
    "bound capability": service(securityContext={"capabilities": {"add": ["NET_BIND_SERVICE"]}}),
    "most concurrent": with_spec(containerConcurrency=1000),
    "longest": with_spec(timeoutSeconds=600),
    "long start": with_spec(responseStartTimeoutSeconds=9999),
    "long idleness": with_spec(idleTimeoutSeconds=9999),
    "request equal to limit": service(
        resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m"}}
    ),
    "class of another domain": with_annotations({f"{SCALING}/class": "mine.example.com"}),
    "name of one's own": with_template_name("hello-one"),
    "no token": with_spec(automountServiceAccountToken=False),
    "progress deadline": with_annotations({"serving.knative.dev/progress-deadline": "90s"}),
    "env from both kinds": service(
        envFrom=[{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}, "prefix": "X"}]
    ),
    "dotted env name": service(env=[{"name": "a.b-c", "value": "x"}]),
    "tags": with_traffic(
        {"latestRevision": True, "percent": 100, "tag": "now"},
        {"revisionName": "hello-00001", "tag": "then"},
        {"revisionName": "hello-00001", "percent": 0},
    ),
}


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_admitted(api: Api, case: str) -> None:
    api.admitted("services", GOOD[case])


def test_several_complaints_come_together(api: Api) -> None:
    obj = with_spec(timeoutSeconds=601, containerConcurrency=-1)
    obj["spec"]["traffic"] = [{"latestRevision": True, "percent": 1}]
    assert api.refusal("services", obj).splitlines() == [
        "Traffic targets sum to 1, want 100: spec.traffic",
        f"expected 0 <= -1 <= 1000: {TEMPLATE}.containerConcurrency",
        f"expected 0 <= 601 <= 600: {TEMPLATE}.timeoutSeconds",
    ]


def test_structure_is_checked_before_rules(api: Api) -> None:
    """Unknown fields and wrong types are the API server's to refuse, in its own words."""
    strict = {"dryRun": "All", "fieldValidation": "Strict"}
    path = api.path("services")
    unknown = api.http.post(path, json=with_spec(nonsense=1), params=strict).json()
    assert unknown["code"] == 400
    assert f'unknown field "{TEMPLATE}.nonsense"' in unknown["message"]
    wrong = api.dry("services", with_spec(timeoutSeconds="long")).json()
    assert wrong["code"] in (400, 422)
    assert "timeoutSeconds" in wrong["message"]
