"""Section 1.8: the operator's ConfigMaps: the keys and values that they take, and those refused."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from tests.conformance.knative import (
    MERGE,
    Api,
    good,
)

DENIED = (
    'admission webhook "config.webhook.serving.knative.dev" denied the request: validation failed: '
)
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
