"""Section 1.8: the operator's ConfigMaps: honoured live, and refused where they make no sense."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from tests.conformance.knative import (
    MERGE,
    Api,
    Obj,
    condition,
    container_of,
    eventually,
    good,
    pod_spec,
    service,
    with_annotations,
    with_spec,
)

DENIED = (
    'admission webhook "config.webhook.serving.knative.dev" denied the request: validation failed: '
)
SCALING = "autoscaling.knative.dev"
FEATURES = "config-features"


def path(api: Api, name: str) -> str:
    return api.path("configmaps", name, namespace="knative-serving")


def offered(api: Api, name: str, data: dict[str, str]) -> Any:
    """What would become of these keys in a ConfigMap."""
    return api.http.patch(
        path(api, name), json={"data": data}, headers=MERGE, params={"dryRun": "All"}
    )


@pytest.mark.parametrize(
    "name",
    [
        "config-autoscaler",
        "config-defaults",
        "config-deployment",
        "config-domain",
        "config-features",
        "config-gc",
        "config-network",
    ],
)
def test_they_are_there_to_be_edited(api: Api, name: str) -> None:
    assert good(api.http.get(path(api, name)))["kind"] == "ConfigMap"
    assert offered(api, name, {"_example": "anything: goes"}).status_code == 200


GOOD: dict[str, dict[str, str]] = {
    "config-autoscaler": {
        "container-concurrency-target-percentage": "70",
        "container-concurrency-target-default": "100",
        "requests-per-second-target-default": "200",
        "target-burst-capacity": "-1",
        "stable-window": "60s",
        "panic-window-percentage": "10.0",
        "panic-threshold-percentage": "200.0",
        "max-scale-up-rate": "1000.0",
        "max-scale-down-rate": "2.0",
        "enable-scale-to-zero": "true",
        "scale-to-zero-grace-period": "30s",
        "scale-to-zero-pod-retention-period": "0s",
        "pod-autoscaler-class": "kpa.autoscaling.knative.dev",
        "activator-capacity": "100.0",
        "initial-scale": "1",
        "allow-zero-initial-scale": "false",
        "min-scale": "0",
        "max-scale": "0",
        "max-scale-limit": "0",
        "scale-down-delay": "0s",
    },
    "config-defaults": {
        "revision-timeout-seconds": "300",
        "max-revision-timeout-seconds": "600",
        "revision-response-start-timeout-seconds": "300",
        "revision-idle-timeout-seconds": "0",
        "revision-cpu-request": "400m",
        "revision-memory-request": "100M",
        "revision-ephemeral-storage-request": "500M",
        "revision-cpu-limit": "1000m",
        "revision-memory-limit": "200M",
        "revision-ephemeral-storage-limit": "750M",
        "container-name-template": "user-container",
        "init-container-name-template": "init-container",
        "container-concurrency": "0",
        "container-concurrency-max-limit": "1000",
        "allow-container-concurrency-zero": "true",
        "enable-service-links": "false",
    },
    "config-gc": {
        "retain-since-create-time": "48h",
        "retain-since-last-active-time": "15h",
        "min-non-active-revisions": "20",
        "max-non-active-revisions": "disabled",
    },
    "config-network": {
        "ingress-class": "istio.ingress.networking.knative.dev",
        "certificate-class": "cert-manager.certificate.networking.knative.dev",
        "namespace-wildcard-cert-selector": "",
        "domain-template": "{{.Name}}.{{.Namespace}}.{{.Domain}}",
        "tag-template": "{{.Tag}}-{{.Name}}",
        "external-domain-tls": "Disabled",
        "cluster-local-domain-tls": "Disabled",
        "system-internal-tls": "Disabled",
        "http-protocol": "Redirected",
        "rollout-duration": "0",
        "autocreate-cluster-domain-claims": "false",
        "enable-mesh-pod-addressability": "false",
        "mesh-compatibility-mode": "auto",
        "default-external-scheme": "http",
    },
    "config-domain": {
        "example.com": "",
        "example.org": "selector:\n  app: nonprofit\n",
        "svc.cluster.local": "selector:\n  app: secret\n",
    },
    "config-deployment": {
        "queue-sidecar-image": "example.com/queue:v1",
        "registries-skipping-tag-resolving": "kind.local,ko.local,dev.local",
        "digest-resolution-timeout": "10s",
        "progress-deadline": "600s",
        "queue-sidecar-cpu-request": "25m",
        "queue-sidecar-cpu-limit": "1000m",
        "queue-sidecar-memory-request": "400Mi",
        "queue-sidecar-token-audiences": "",
        "default-affinity-type": "prefer-spread-revision-over-nodes",
        "runtime-class-name": "",
        "pod-is-always-schedulable": "false",
    },
    "config-observability": {"logging.enable-request-log": "false"},
    "config-leader-election": {"lease-duration": "60s"},
}


@pytest.mark.parametrize("name", GOOD)
def test_every_key_of_knative_is_taken(api: Api, name: str) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "knative-serving"},
        "data": GOOD[name],
    }
    answer = offered(api, name, GOOD[name])
    if answer.status_code == 404:
        url = api.path("configmaps", namespace="knative-serving")
        answer = api.http.post(url, json=obj, params={"dryRun": "All"})
    assert answer.status_code in (200, 201), answer.text


FLAGS = (
    "multi-container",
    "secure-pod-defaults",
    "multi-container-probing",
    *(
        f"kubernetes.podspec-{name}"
        for name in (
            "affinity",
            "topologyspreadconstraints",
            "hostaliases",
            "nodeselector",
            "tolerations",
            "fieldref",
            "runtimeclassname",
            "dnspolicy",
            "dnsconfig",
            "securitycontext",
            "shareprocessnamespace",
            "hostipc",
            "hostpid",
            "hostnetwork",
            "priorityclassname",
            "schedulername",
            "init-containers",
            "persistent-volume-claim",
            "persistent-volume-write",
            "volumes-emptydir",
            "volumes-hostpath",
            "volumes-ephemeral",
            "volumes-csi",
            "volumes-image",
            "volumes-mount-propagation",
        )
    ),
    "kubernetes.containerspec-addcapabilities",
    "tag-header-based-routing",
    "autodetect-http2",
    "queueproxy.mount-podinfo",
    "queueproxy.resource-defaults",
)


@pytest.mark.parametrize("value", ["Enabled", "Allowed", "disabled", "ENABLED"])
def test_every_flag_has_three_states(api: Api, value: str) -> None:
    assert offered(api, FEATURES, dict.fromkeys(FLAGS, value)).status_code == 200


BAD: list[tuple[str, dict[str, str], str]] = [
    (
        "config-autoscaler",
        {"min-scale": "many"},
        'failed to parse "min-scale": strconv.ParseInt: parsing "many": invalid syntax',
    ),
    (
        "config-autoscaler",
        {"enable-scale-to-zero": "maybe"},
        'failed to parse "enable-scale-to-zero": strconv.ParseBool: parsing "maybe": '
        "invalid syntax",
    ),
    (
        "config-autoscaler",
        {"target-burst-capacity": "x"},
        'failed to parse "target-burst-capacity": strconv.ParseFloat: parsing "x": invalid syntax',
    ),
    (
        "config-autoscaler",
        {"stable-window": "60"},
        'failed to parse "stable-window": time: invalid duration "60"',
    ),
    (
        "config-autoscaler",
        {"stable-window": "5s"},
        "stable-window = 5s, must be in [6s; 1h0m0s] range",
    ),
    (
        "config-autoscaler",
        {"stable-window": "6500ms"},
        "stable-window = 6.5s, must be specified with at most second precision",
    ),
    (
        "config-autoscaler",
        {"target-burst-capacity": "-2"},
        "target-burst-capacity must be either non-negative or -1 (for unlimited), got -2.000000",
    ),
    (
        "config-autoscaler",
        {"container-concurrency-target-percentage": "0"},
        "container-concurrency-target-percentage = 0.000000 is outside of valid range of (0, 100]",
    ),
    (
        "config-autoscaler",
        {"requests-per-second-target-default": "0"},
        "requests-per-second-target-default must be at least 0.01, got 0",
    ),
    (
        "config-autoscaler",
        {"max-scale-up-rate": "1"},
        "max-scale-up-rate = 1, must be greater than 1.0",
    ),
    (
        "config-autoscaler",
        {"max-scale-down-rate": "0.5"},
        "max-scale-down-rate = 0.5, must be greater than 1.0",
    ),
    (
        "config-autoscaler",
        {"initial-scale": "0"},
        "initial-scale = 0, must be at least 0 "
        "(or at least 1 when allow-zero-initial-scale is false)",
    ),
    ("config-autoscaler", {"max-scale": "-1"}, "max-scale = -1, must be at least 0"),
    (
        "config-autoscaler",
        {"activator-capacity": "0"},
        "activator-capacity = 0, must be at least 1",
    ),
    (
        "config-defaults",
        {"revision-timeout-seconds": "soon"},
        'failed to parse "revision-timeout-seconds": strconv.ParseInt: parsing "soon": '
        "invalid syntax",
    ),
    (
        "config-defaults",
        {"revision-timeout-seconds": "601"},
        "revision-timeout-seconds (601) cannot be greater than max-revision-timeout-seconds (600)",
    ),
    (
        "config-defaults",
        {"revision-idle-timeout-seconds": "301"},
        "revision-idle-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)",
    ),
    (
        "config-defaults",
        {"container-concurrency": "1001"},
        "expected 0 <= 1001 <= 1000: container-concurrency",
    ),
    (
        "config-defaults",
        {"container-concurrency-max-limit": "0"},
        "expected 1 <= 0 <= 2147483647: container-concurrency-max-limit",
    ),
    (
        "config-defaults",
        {"revision-memory-limit": "lots"},
        'failed to parse "revision-memory-limit": quantities must match the regular expression',
    ),
    (
        "config-defaults",
        {"container-name-template": "{{if .X}}a{{end}}"},
        'failed to parse "container-name-template": ',
    ),
    ("config-features", {"multi-container": "maybe"}, 'failed to parse "multi-container": '),
    (
        "config-gc",
        {"retain-since-create-time": "long"},
        'failed to parse "retain-since-create-time": time: invalid duration "long"',
    ),
    (
        "config-gc",
        {"retain-since-last-active-time": "-1h"},
        'failed to parse "retain-since-last-active-time": must be non-negative',
    ),
    (
        "config-gc",
        {"min-non-active-revisions": "5", "max-non-active-revisions": "3"},
        "min-non-active-revisions(5) must be <= max-non-active-revisions(3)",
    ),
    (
        "config-network",
        {"http-protocol": "Maybe"},
        "httpProtocol Maybe in config-network ConfigMap is not supported",
    ),
    (
        "config-network",
        {"rollout-duration": "-1"},
        "rollout-duration must be a positive integer, but was -1",
    ),
    ("config-network", {"domain-template": "{{.Name | x}}"}, 'failed to parse "domain-template": '),
    ("config-network", {"mesh-compatibility-mode": "x"}, '"mesh-compatibility-mode": "x" is none'),
    ("config-domain", {"example.org": "- a"}, "example.org: expected `selector:`"),
    (
        "config-deployment",
        {"progress-deadline": "0s"},
        'failed to parse "progress-deadline": cannot be a non-positive duration, was 0s',
    ),
    (
        "config-deployment",
        {"progress-deadline": "1500ms"},
        'failed to parse "progress-deadline": must be rounded to a whole second, was: 1500ms',
    ),
    (
        "config-deployment",
        {"queue-sidecar-cpu-request": "much"},
        'failed to parse "queue-sidecar-cpu-request": quantities must match',
    ),
    ("config-deployment", {"default-affinity-type": "x"}, '"default-affinity-type": "x" is none'),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD)
def test_bad_values_are_refused(api: Api, name: str, data: dict[str, str], message: str) -> None:
    answer = offered(api, name, data)
    status = answer.json()
    assert (answer.status_code, status["reason"]) == (400, "BadRequest")
    assert status["message"].startswith(DENIED)
    assert message in status["message"].removeprefix(DENIED)


def test_kubectl_shows_the_refusal(api: Api) -> None:
    done = api.platform.kubectl(
        "patch",
        "configmap/config-autoscaler",
        "-n=knative-serving",
        '-p={"data":{"stable-window":"1s"}}',
        check=False,
    )
    assert done.returncode == 1
    assert "stable-window = 1s, must be in [6s; 1h0m0s] range" in done.stderr


def test_who_edits_the_example_is_told(api: Api) -> None:
    example = "stable-window: 60s"
    checksum = f"{zlib.crc32(example.encode()):08x}"
    meta = {"annotations": {"knative.dev/example-checksum": checksum}}

    def edited(text: str) -> Any:
        patch = {"metadata": meta, "data": {"_example": text}}
        url, params = path(api, "config-autoscaler"), {"dryRun": "All"}
        return api.http.patch(url, json=patch, headers=MERGE, params=params)

    assert edited(f"\n{example}  ").status_code == 200
    message = edited("stable-window: 90s").json()["message"]
    assert message.startswith(f'{DENIED}the update modifies a key in "_example"')


def test_other_config_maps_are_nobodys_business(api: Api) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config-autoscaler"},
        "data": {"stable-window": "whatever"},
    }
    api.create("configmaps", obj)


# Flags that change what may be said; each is off, or on, by default.


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
        eventually(collected)


def test_a_container_keeps_its_defaults_when_they_change(api: Api) -> None:
    api.create("services", service("steady"))

    def in_force() -> bool:
        found = api.admitted("services", service())
        return container_of(found)["resources"].get("limits") == {"cpu": "2"}

    with api.settings("config-defaults", {"revision-cpu-limit": "2"}, until=in_force):
        labelled = good(api.merge("services", "steady", {"metadata": {"labels": {"a": "b"}}}))
    # As in Knative: the next write of an unnamed template brings the new defaults.
    assert container_of(labelled)["resources"] == {"limits": {"cpu": "2"}}
