"""Section 1.8: what the operator's ConfigMaps change, from the moment in which they are written."""

from __future__ import annotations

import pytest

from tests.conformance.knative import (
    SCALING,
    Api,
    Obj,
    condition,
    container_of,
    good,
    pod_spec,
    service,
    with_annotations,
    with_spec,
)
from tests.support.waiting import wait_until

FEATURES = "config-features"


def field_ref() -> Obj:
    source = {"fieldRef": {"fieldPath": "metadata.name"}}
    return service(env=[{"name": "ME", "valueFrom": source}])


def sidecar_probe() -> Obj:
    return with_spec(
        containers=[
            {"image": "counter", "ports": [{"containerPort": 8080}]},
            {"image": "counter", "readinessProbe": {"tcpSocket": {"port": 9000}}},
        ]
    )


def writable_claim() -> Obj:
    obj = service(volumeMounts=[{"name": "v", "mountPath": "/v"}])
    pod_spec(obj)["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    return obj


def propagation() -> Obj:
    mount = {"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}
    obj = service(volumeMounts=[mount])
    pod_spec(obj)["volumes"] = [{"name": "v", "emptyDir": {}}]
    return obj


SWITCHES: list[tuple[dict[str, str], Obj]] = [
    ({"kubernetes.podspec-fieldref": "Enabled"}, field_ref()),
    ({"kubernetes.podspec-fieldref": "Allowed"}, field_ref()),
    (
        {"kubernetes.containerspec-addcapabilities": "Enabled"},
        service(securityContext={"capabilities": {"add": ["SYS_TIME"]}}),
    ),
    ({"multi-container-probing": "Enabled"}, sidecar_probe()),
    ({"kubernetes.podspec-volumes-mount-propagation": "Enabled"}, propagation()),
    (
        {
            "kubernetes.podspec-persistent-volume-claim": "Enabled",
            "kubernetes.podspec-persistent-volume-write": "Enabled",
        },
        writable_claim(),
    ),
    ({"kubernetes.podspec-nodeselector": "Allowed"}, with_spec(nodeSelector={"a": "b"})),
]


@pytest.mark.parametrize(("flags", "obj"), SWITCHES)
def test_a_flag_is_honoured_live(api: Api, flags: dict[str, str], obj: Obj) -> None:
    def accepted() -> bool:
        return api.dry("services", obj).status_code == 201

    assert not accepted()
    with api.settings(FEATURES, flags, until=accepted):
        assert accepted()


RIGHTS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.parametrize(
    ("value", "container", "rights"),
    [
        ("Enabled", {}, {**RIGHTS, "runAsNonRoot": True}),
        ("AllowRootBounded", {}, RIGHTS),
        (
            "AllowRootBounded",
            {"ports": [{"containerPort": 80}]},
            {**RIGHTS, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        ),
        (
            "Enabled",
            {"securityContext": {"runAsNonRoot": False, "capabilities": {"drop": ["SYS_TIME"]}}},
            {**RIGHTS, "runAsNonRoot": False, "capabilities": {"drop": ["SYS_TIME"]}},
        ),
    ],
)
def test_pods_can_be_secure_by_default(api: Api, value: str, container: Obj, rights: Obj) -> None:
    def found() -> Obj:
        obj = service(**container)
        return container_of(api.admitted("services", obj)).get("securityContext", {})

    before = found()
    flag = {"secure-pod-defaults": value}
    with api.settings(FEATURES, flag, until=lambda: found() != before):
        assert found() == rights


def test_several_containers_can_be_switched_off(api: Api) -> None:
    obj = sidecar_probe()
    del pod_spec(obj)["containers"][1]["readinessProbe"]

    def refused() -> bool:
        return "multi-container is off, but found 2 containers" in api.dry("services", obj).text

    with api.settings(FEATURES, {"multi-container": "Disabled"}, until=refused):
        assert refused()


LIMITS: list[tuple[str, dict[str, str], Obj, str]] = [
    (
        "config-defaults",
        {"max-revision-timeout-seconds": "900"},
        with_spec(timeoutSeconds=901),
        "expected 0 <= 901 <= 900",
    ),
    (
        "config-defaults",
        {"container-concurrency-max-limit": "10"},
        with_spec(containerConcurrency=11),
        "expected 0 <= 11 <= 10",
    ),
    (
        "config-defaults",
        {"allow-container-concurrency-zero": "false", "container-concurrency": "1"},
        with_spec(containerConcurrency=0),
        "expected 1 <= 0 <= 1000",
    ),
    (
        "config-autoscaler",
        {"max-scale-limit": "10", "max-scale": "10"},
        with_annotations({f"{SCALING}/max-scale": "11"}),
        "expected 1 <= 11 <= 10",
    ),
    (
        "config-autoscaler",
        {"max-scale-limit": "10", "max-scale": "10"},
        with_annotations({f"{SCALING}/max-scale": "0"}),
        "max-scale=0 (unlimited), must be less than 10",
    ),
]


@pytest.mark.parametrize(("name", "data", "obj", "message"), LIMITS)
def test_the_operator_sets_limits(
    api: Api, name: str, data: dict[str, str], obj: Obj, message: str
) -> None:
    def in_force() -> bool:
        return message in api.dry("services", obj).text

    with api.settings(name, data, until=in_force):
        assert message in api.refusal("services", obj)


def test_the_operator_raises_the_longest_timeout(api: Api) -> None:
    longer = with_spec(timeoutSeconds=900)

    def in_force() -> bool:
        return api.dry("services", longer).status_code == 201

    with api.settings("config-defaults", {"max-revision-timeout-seconds": "900"}, until=in_force):
        assert in_force()


def test_zero_as_initial_scale_can_be_allowed(api: Api) -> None:
    obj = with_annotations({f"{SCALING}/initial-scale": "0"}, name="from-zero")

    def accepted() -> bool:
        return api.dry("services", obj).status_code == 201

    allowed = {"allow-zero-initial-scale": "true"}
    with api.settings("config-autoscaler", allowed, until=accepted):
        api.apply_ready(obj)
        assert api.names("pods", labelSelector="serving.knative.dev/service=from-zero") == []


def test_the_default_class_of_autoscalers(api: Api) -> None:
    with api.settings("config-autoscaler", {"pod-autoscaler-class": "own.example.org"}):
        api.create("services", service("classed"))
        found = api.wait("podautoscalers", "classed-00001", lambda _: True)
        while found["metadata"]["annotations"][f"{SCALING}/class"] != "own.example.org":
            # The setting came after the Revision; the next one has it.
            api.delete("services", "classed")
            api.create("services", service("classed"))
            found = api.wait("podautoscalers", "classed-00001", lambda _: True)
    assert condition(found, "Ready") == {}
    api.delete("services", "classed")


def test_the_progress_deadline(api: Api) -> None:
    def deadline(obj: Obj) -> bool:
        return obj["spec"]["progressDeadlineSeconds"] == 77

    api.create("services", service("patient"))
    with api.settings("config-deployment", {"progress-deadline": "77s"}):
        api.wait("deployments", "patient-00001-deployment", deadline)


def test_domain_claims_are_made_where_the_operator_wants_it(api: Api) -> None:
    api.apply_ready(service("mapped"))
    name = "claims.example.org"
    with api.settings("config-network", {"autocreate-cluster-domain-claims": "true"}):
        mapping = {
            "apiVersion": "serving.knative.dev/v1beta1",
            "kind": "DomainMapping",
            "metadata": {"name": name},
            "spec": {"ref": {"kind": "Service", "name": "mapped"}},
        }
        api.create("domainmappings", mapping)
        api.ready(name, "domainmappings")
    claim = api.get("clusterdomainclaims", name)
    assert claim["spec"] == {"namespace": api.namespace}
    assert api.platform.request(name).json()["revision"] == "mapped-00001"
    api.delete("domainmappings", name)
    api.delete("clusterdomainclaims", name)


def test_tags_can_be_chosen_by_header(api: Api) -> None:
    obj = service("headed")
    obj["spec"]["traffic"] = [
        {"latestRevision": True, "percent": 100},
    ]
    api.apply_ready(obj)
    template = {"spec": {"containers": [{"image": "counter", "args": ["two"]}]}}
    traffic = [
        {"revisionName": "headed-00001", "percent": 100},
        {"latestRevision": True, "percent": 0, "tag": "next"},
    ]
    good(api.merge("services", "headed", {"spec": {"template": template, "traffic": traffic}}))
    host = api.ready("headed")["status"]["url"].split("//")[1]

    def chosen() -> str:
        headers = {"Knative-Serving-Tag": "next"}
        return api.platform.request(host, headers=headers).json()["revision"]

    assert chosen() == "headed-00001"
    with api.settings(FEATURES, {"tag-header-based-routing": "Enabled"}):
        api.wait("ingresses", "headed", lambda o: len(o["spec"]["rules"][0]["http"]["paths"]) == 2)
        api.ready("headed", "ingresses")
        assert chosen() == "headed-00002"
        assert api.platform.request(host).json()["revision"] == "headed-00001"


def test_revisions_are_collected(api: Api) -> None:
    """At most one that serves nobody; those that are marked stay."""
    api.create("services", service("aged"))
    for number in range(2, 6):
        if number == 3:
            keep = {"metadata": {"annotations": {"serving.knative.dev/no-gc": "true"}}}
            good(api.merge("revisions", "aged-00001", keep))
        containers = [{"image": "counter", "args": [str(number)]}]
        template = {"spec": {"containers": containers}}
        good(api.merge("services", "aged", {"spec": {"template": template}}))
        name = f"aged-{number:05d}"
        api.wait(
            "services",
            "aged",
            lambda o, n=name: o.get("status", {}).get("latestReadyRevisionName") == n,
        )
    api.ready("aged")
    assert len(api.names("revisions", labelSelector="serving.knative.dev/service=aged")) == 5
    few = {"min-non-active-revisions": "0", "max-non-active-revisions": "1"}

    def collected() -> bool:
        found = api.names("revisions", labelSelector="serving.knative.dev/service=aged")
        return found == ["aged-00001", "aged-00004", "aged-00005"]

    with api.settings("config-gc", few):
        wait_until(collected)


def test_a_container_keeps_its_defaults_when_they_change(api: Api) -> None:
    api.create("services", service("steady"))

    def in_force() -> bool:
        found = api.admitted("services", service())
        return container_of(found)["resources"].get("limits") == {"cpu": "2"}

    with api.settings("config-defaults", {"revision-cpu-limit": "2"}, until=in_force):
        labelled = good(api.merge("services", "steady", {"metadata": {"labels": {"a": "b"}}}))
    # As in Knative: the next write of an unnamed template brings the new defaults.
    assert container_of(labelled)["resources"] == {"limits": {"cpu": "2"}}
