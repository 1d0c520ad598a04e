"""Section 1.2: which fields a spec may have, and which a status has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.knative import (
    Api,
    Obj,
    condition,
    container_of,
    pod_spec,
    service,
    with_spec,
)

TEMPLATE = "spec.template.spec"
CONTAINER = f"{TEMPLATE}.containers[0]"

ALLOWED: dict[str, Any] = {
    "serviceAccountName": "default",
    "imagePullSecrets": [{"name": "registry"}],
    "enableServiceLinks": True,
    "automountServiceAccountToken": False,
    "containerConcurrency": 5,
    "timeoutSeconds": 5,
    "responseStartTimeoutSeconds": 4,
    "idleTimeoutSeconds": 3,
}
GATED: dict[str, tuple[str, Any]] = {
    "affinity": ("affinity", {"nodeAffinity": {}}),
    "topologySpreadConstraints": (
        "topologyspreadconstraints",
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    ),
    "hostAliases": ("hostaliases", [{"ip": "10.0.0.1", "hostnames": ["db"]}]),
    "nodeSelector": ("nodeselector", {"disk": "ssd"}),
    "tolerations": ("tolerations", [{"key": "gpu", "operator": "Exists"}]),
    "runtimeClassName": ("runtimeclassname", "gvisor"),
    "securityContext": ("securitycontext", {"runAsUser": 1000}),
    "shareProcessNamespace": ("shareprocessnamespace", True),
    "priorityClassName": ("priorityclassname", "high"),
    "schedulerName": ("schedulername", "mine"),
    "initContainers": ("init-containers", [{"image": "counter", "name": "first"}]),
    "dnsPolicy": ("dnspolicy", "Default"),
    "dnsConfig": ("dnsconfig", {"nameservers": ["10.0.0.53"]}),
    "hostIPC": ("hostipc", True),
    "hostPID": ("hostpid", True),
    "hostNetwork": ("hostnetwork", True),
}
CONTAINER_FIELDS: dict[str, Any] = {
    "args": ["--fast"],
    "command": ["python3", "counter.py"],
    "env": [
        {"name": "A", "value": "$(B)"},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
    ],
    "envFrom": [{"configMapRef": {"name": "c", "optional": True}, "prefix": "P_"}],
    "workingDir": "/tmp",
    "imagePullPolicy": "IfNotPresent",
    "livenessProbe": {"httpGet": {"path": "/", "httpHeaders": [{"name": "a", "value": "b"}]}},
    "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 3},
    "ports": [{"containerPort": 8081, "name": "h2c", "protocol": "TCP"}],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsGroup": 1000,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "terminationMessagePath": "/tmp/message",
    "terminationMessagePolicy": "FallbackToLogsOnError",
}
DISALLOWED_OF_CONTAINERS: dict[str, Any] = {
    "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
    "stdin": True,
    "stdinOnce": True,
    "tty": True,
    "volumeDevices": [{"name": "v", "devicePath": "/dev/xvda"}],
}
DISALLOWED_OF_PODS: dict[str, Any] = {
    "restartPolicy": "Never",
    "terminationGracePeriodSeconds": 5,
    "activeDeadlineSeconds": 5,
    "nodeName": "here",
    "hostname": "me",
    "subdomain": "sub",
    "priority": 5,
    "readinessGates": [{"conditionType": "x"}],
    "overhead": {"cpu": "1"},
    "preemptionPolicy": "Never",
    "setHostnameAsFQDN": True,
}
LABELS = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
SOURCES: dict[str, Obj] = {
    "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}], "optional": True},
    "configMap": {"name": "c", "defaultMode": 0o400},
    "projected": {
        "sources": [
            {"secret": {"name": "s"}},
            {"configMap": {"name": "c"}},
            {
                "downwardAPI": {
                    "items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]
                }
            },
            {"serviceAccountToken": {"path": "t", "audience": "me", "expirationSeconds": 600}},
        ]
    },
    "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"},
}
GATED_SOURCES: dict[str, tuple[str, Obj]] = {
    "persistentVolumeClaim": ("persistent-volume-claim", {"claimName": "c", "readOnly": True}),
    "hostPath": ("volumes-hostpath", {"path": "/srv"}),
    "csi": ("volumes-csi", {"driver": "d"}),
    "ephemeral": ("volumes-ephemeral", {"volumeClaimTemplate": {"spec": {}}}),
    "image": ("volumes-image", {"reference": "counter"}),
}


@pytest.mark.parametrize("field", ALLOWED)
def test_fields_of_a_revision(api: Api, field: str) -> None:
    value = ALLOWED[field]
    assert pod_spec(api.admitted("services", with_spec(**{field: value})))[field] == value


@pytest.mark.parametrize("field", GATED)
def test_fields_behind_a_flag(api: Api, field: str) -> None:
    flag, value = GATED[field]
    obj = with_spec(**{field: value})
    words = (
        "pod spec support for init-containers is off, but found 1 init containers"
        if field == "initContainers"
        else f"must not set the field(s): {TEMPLATE}.{field}"
    )
    assert words in api.refusal("services", obj)

    def accepted() -> bool:
        return api.dry("services", obj).status_code == 201

    with api.settings("config-features", {f"kubernetes.podspec-{flag}": "Enabled"}, until=accepted):
        stored = pod_spec(api.admitted("services", obj))[field]
    if field == "initContainers":
        assert stored[0]["name"] == "first"
    else:
        assert stored == value


@pytest.mark.parametrize("field", CONTAINER_FIELDS)
def test_fields_of_a_container(api: Api, field: str) -> None:
    value = CONTAINER_FIELDS[field]
    assert container_of(api.admitted("services", service(**{field: value})))[field] == value


def strictly(api: Api, obj: Obj) -> str:
    """The refusal, asked for as kubectl asks: nothing is dropped in silence."""
    params = {"dryRun": "All", "fieldValidation": "Strict"}
    response = api.http.post(api.path("services"), json=obj, params=params)
    assert response.status_code == 400, response.text
    return response.json()["message"]


@pytest.mark.parametrize("field", DISALLOWED_OF_CONTAINERS)
def test_fields_that_no_container_may_have(api: Api, field: str) -> None:
    message = strictly(api, service(**{field: DISALLOWED_OF_CONTAINERS[field]}))
    assert f"{CONTAINER}.{field}" in message


def test_no_host_ports(api: Api) -> None:
    message = strictly(api, service(ports=[{"containerPort": 8080, "hostPort": 80}]))
    assert f"{CONTAINER}.ports[0].hostPort" in message


@pytest.mark.parametrize("field", DISALLOWED_OF_PODS)
def test_fields_that_no_revision_may_have(api: Api, field: str) -> None:
    assert f"{TEMPLATE}.{field}" in strictly(api, with_spec(**{field: DISALLOWED_OF_PODS[field]}))


def with_source(name: str, source: Obj) -> Obj:
    obj = service(volumeMounts=[{"name": "v", "mountPath": "/v", "readOnly": True}])
    pod_spec(obj)["volumes"] = [{"name": "v", name: source}]
    return obj


@pytest.mark.parametrize("name", SOURCES)
def test_volumes(api: Api, name: str) -> None:
    stored = pod_spec(api.admitted("services", with_source(name, SOURCES[name])))["volumes"]
    assert stored == [{"name": "v", name: SOURCES[name]}]


@pytest.mark.parametrize("name", GATED_SOURCES)
def test_volumes_behind_a_flag(api: Api, name: str) -> None:
    flag, source = GATED_SOURCES[name]
    obj = with_source(name, source)
    refusal = api.refusal("services", obj)
    assert f"must not set the field(s): {TEMPLATE}.volumes[0].{name}" in refusal or (
        "Persistent volume claim support is disabled" in refusal
    )

    def accepted() -> bool:
        return api.dry("services", obj).status_code == 201

    with api.settings("config-features", {f"kubernetes.podspec-{flag}": "Enabled"}, until=accepted):
        assert pod_spec(api.admitted("services", obj))["volumes"] == [{"name": "v", name: source}]


def test_empty_directories_can_be_switched_off(api: Api) -> None:
    obj = with_source("emptyDir", {})

    def refused() -> bool:
        return "EmptyDir volume support is disabled, but found EmptyDir volume v" in (
            api.dry("services", obj).text
        )

    flag = {"kubernetes.podspec-volumes-emptydir": "Disabled"}
    with api.settings("config-features", flag, until=refused):
        assert refused()


def test_a_route_may_name_a_configuration(api: Api) -> None:
    traffic = [{"configurationName": "hello", "percent": 100, "tag": "now"}]
    route = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": "alone"},
        "spec": {"traffic": traffic},
    }
    stored = api.admitted("routes", route)["spec"]["traffic"]
    assert stored == [{**traffic[0], "latestRevision": True}]


def test_a_domain_mapping(api: Api) -> None:
    spec = {
        "ref": {"kind": "Service", "name": "hello", "apiVersion": "serving.knative.dev/v1"},
        "tls": {"secretName": "pair"},
    }
    mapping = {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": "shop.example.org"},
        "spec": spec,
    }
    stored = api.admitted("domainmappings", mapping)["spec"]
    assert stored == {**spec, "ref": {**spec["ref"], "namespace": api.namespace}}


def test_statuses(api: Api) -> None:
    obj = service("status")
    obj["spec"]["traffic"] = [{"latestRevision": True, "percent": 100, "tag": "now"}]
    found = api.apply_ready(obj)["status"]
    host = f"status.{api.namespace}"
    port = api.platform.gateway_port
    assert found["url"] == f"http://{host}.localhost:{port}"
    assert found["address"] == {"url": f"http://{host}.svc.cluster.local"}
    assert found["traffic"] == [
        {
            "latestRevision": True,
            "percent": 100,
            "revisionName": "status-00001",
            "tag": "now",
            "url": f"http://now-{host}.localhost:{port}",
        }
    ]
    latest = {
        "latestCreatedRevisionName": "status-00001",
        "latestReadyRevisionName": "status-00001",
    }
    assert found.items() >= latest.items()
    assert found["observedGeneration"] == 1

    configuration = api.ready("status", "configurations")["status"]
    assert configuration.items() >= latest.items()
    route = api.ready("status", "routes")["status"]
    assert {name: route[name] for name in ("url", "address", "traffic")} == {
        name: found[name] for name in ("url", "address", "traffic")
    }


def test_the_status_of_a_revision(api: Api) -> None:
    api.apply_ready(service("counted"))
    revision = api.wait(
        "revisions",
        "counted-00001",
        lambda obj: (
            obj.get("status", {}).get("actualReplicas") == 1
            and obj["status"]["containerStatuses"][0].get("imageDigest")
        ),
    )
    status = revision["status"]
    assert status["desiredReplicas"] == 1
    (container,) = status["containerStatuses"]
    assert container["name"] == "user-container"
    name, _, digest = container["imageDigest"].partition("@")
    assert name.endswith("counter")
    assert digest.startswith("sha256:")
    assert len(digest) == len("sha256:") + 64
    assert condition(revision, "Ready")["status"] == "True"
