"""Section 1.3: what each kind says of itself, and why."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conformance.knative import (
    Api,
    Obj,
    condition,
    good,
    service,
    with_annotations,
    with_env,
)

READY = {
    "services": {"ConfigurationsReady", "RoutesReady"},
    "configurations": set(),
    "revisions": {"ResourcesAvailable", "ContainerHealthy", "Active"},
    "routes": {"AllTrafficAssigned", "IngressReady", "CertificateProvisioned"},
    "podautoscalers": {"Active", "ScaleTargetInitialized", "SKSReady"},
    "ingresses": {"NetworkConfigured", "LoadBalancerReady"},
}
OF_REVISIONS = ("revisions", "podautoscalers")
DOMAIN = "conditions.example.org"


@pytest.fixture(scope="module", autouse=True)
def hello(api: Api) -> None:
    api.apply_ready(with_annotations({"autoscaling.knative.dev/min-scale": "1"}))


@pytest.mark.parametrize("kind", READY)
def test_all_is_well(api: Api, kind: str) -> None:
    obj = api.ready("hello-00001" if kind in OF_REVISIONS else "hello", kind)
    found = {item["type"]: item for item in obj["status"]["conditions"]}
    assert set(found) == {"Ready", *READY[kind]}
    assert {item["status"] for item in found.values()} == {"True"}
    for item in found.values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["lastTransitionTime"])
    assert found["Ready"].get("severity", "") == ""
    # Neither decides whether the Revision is ready.
    if kind == "revisions":
        assert found["Active"]["severity"] == "Info"


def test_no_certificate_is_needed_where_tls_is_off(api: Api) -> None:
    found = condition(api.get("routes", "hello"), "CertificateProvisioned")
    assert (found["status"], found["reason"]) == ("True", "TLSNotEnabled")


FAILURES: dict[str, tuple[Obj, str, str]] = {
    "exit": (
        with_env(service("exit"), EXIT_CODE="7"),
        "ExitCode7",
        "Container failed with: ",
    ),
    "image": (
        service("image", image="example.com/nobody/nothing:v9"),
        "ImagePullBackOff",
        "example.com/nobody/nothing:v9",
    ),
    "secret": (
        service(
            "secret",
            env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}],
        ),
        "CreateContainerConfigError",
        'secret "none" not found',
    ),
}


@pytest.fixture(scope="module")
def failures(api: Api) -> None:
    for obj, _, _ in FAILURES.values():
        api.create("services", obj)


@pytest.mark.usefixtures("failures")
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_travels_up(api: Api, name: str) -> None:
    _, reason, words = FAILURES[name]
    revision = api.condition("revisions", f"{name}-00001", "Ready", "False", reason)
    assert words in revision["message"]
    configuration = api.condition("configurations", name, "Ready", "False", "RevisionFailed")
    assert configuration["message"] == (
        f'Revision "{name}-00001" failed with message: {revision["message"]}.'
    )
    found = api.condition("services", name, "Ready", "False", "RevisionFailed")
    assert found["message"] == configuration["message"]
    ready = api.condition("services", name, "ConfigurationsReady", "False", "RevisionFailed")
    assert ready["message"] == configuration["message"]
    missing = api.condition("services", name, "RoutesReady", "False", "RevisionMissing")
    assert missing["message"] == f'Configuration "{name}" does not have any ready Revision.'


@pytest.mark.usefixtures("failures")
def test_a_container_that_exits_is_not_healthy(api: Api) -> None:
    api.condition("revisions", "exit-00001", "ContainerHealthy", "False", "ExitCode7")


def test_a_pod_that_is_refused_is_a_resource_that_is_missing(api: Api) -> None:
    """What Knative lets through and Kubernetes does not."""
    obj = service("refused", livenessProbe={"tcpSocket": {}, "successThreshold": 5})
    api.create("services", obj)
    found = api.condition("revisions", "refused-00001", "ResourcesAvailable", "False")
    assert found["reason"] == "FailedCreate"
    assert "successThreshold" in found["message"]
    assert "successThreshold" in api.condition("services", "refused", "Ready", "False")["message"]


def test_progress_has_a_deadline(api: Api) -> None:
    obj = with_env(
        with_annotations({"serving.knative.dev/progress-deadline": "1s"}, name="slow"),
        LOAD_SECONDS="3600",
    )
    api.create("services", obj)
    found = api.condition("revisions", "slow-00001", "ResourcesAvailable", "False")
    assert found["reason"] == "ProgressDeadlineExceeded"
    api.condition("services", "slow", "Ready", "False", "RevisionFailed")
    api.delete("services", "slow")


def test_at_zero_a_revision_is_ready_and_not_active(api: Api) -> None:
    window = {"autoscaling.knative.dev/window": "6s"}
    soon = {"scale-to-zero-grace-period": "0s"}
    with api.settings("config-autoscaler", soon):
        api.apply_ready(with_annotations(window, name="zero"))
        active = api.condition("revisions", "zero-00001", "Active", "False", "NoTraffic")
    assert active["severity"] == "Info"
    assert active["message"] == "The target is not receiving traffic."
    assert condition(api.get("revisions", "zero-00001"), "Ready")["status"] == "True"
    assert condition(api.get("services", "zero"), "Ready")["status"] == "True"
    scaler = api.get("podautoscalers", "zero-00001")
    assert condition(scaler, "Active")["reason"] == "NoTraffic"
    assert condition(scaler, "ScaleTargetInitialized")["status"] == "True"


TARGETS: list[tuple[str, list[Obj], str, str]] = [
    (
        "missing",
        [{"revisionName": "missing-00009", "percent": 100}],
        "RevisionMissing",
        'Revision "missing-00009" referenced in traffic not found.',
    ),
    (
        "stranger",
        [{"revisionName": "hello-00001", "percent": 100}],
        "RevisionNotOwned",
        'Revision "hello-00001" is not owned by Service "stranger".',
    ),
]


@pytest.mark.parametrize(
    ("name", "traffic", "reason", "message"), TARGETS, ids=lambda x: str(x)[:9]
)
def test_traffic_that_cannot_be_assigned(
    api: Api, name: str, traffic: list[Obj], reason: str, message: str
) -> None:
    obj = service(name)
    obj["spec"]["traffic"] = traffic
    api.create("services", obj)
    assert (
        api.condition("routes", name, "AllTrafficAssigned", "False", reason)["message"] == message
    )
    assert api.condition("services", name, "Ready", "False", reason)["message"] == message


def test_a_configuration_that_is_missing(api: Api) -> None:
    api.create("routes", route("lonely", "nowhere"))
    found = api.condition("routes", "lonely", "Ready", "False", "ConfigurationMissing")
    assert found["message"] == 'Configuration "nowhere" referenced in traffic not found.'


def route(name: str, configuration: str) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Route",
        "metadata": {"name": name},
        "spec": {"traffic": [{"configurationName": configuration, "percent": 100}]},
    }


def test_a_revision_that_was_deleted(api: Api) -> None:
    api.apply_ready(service("deleted"))
    api.delete("revisions", "deleted-00001")
    # A new one takes its place, or the Configuration says what is missing.
    found = api.wait(
        "configurations",
        "deleted",
        lambda obj: (
            condition(obj, "Ready").get("reason") == "RevisionDeleted"
            or obj["status"].get("latestReadyRevisionName") == "deleted-00001"
        ),
    )
    assert found


def test_a_name_that_is_taken(api: Api) -> None:
    api.apply_ready(service("taken"))
    obj = service("taken", args=["x"])
    obj["spec"]["template"]["metadata"] = {"name": "taken-00001"}
    good(api.merge("services", "taken", {"spec": obj["spec"]}))
    found = api.condition("services", "taken", "RoutesReady", "False", "RevisionNameTaken")
    assert 'The revision name "taken-00001" is taken by a conflicting Revision' in found["message"]


@pytest.mark.parametrize("kind", ["Configuration", "Route"])
def test_children_of_others_are_left_alone(api: Api, kind: str) -> None:
    name = f"not-{kind.lower()}"
    plural = f"{kind.lower()}s"
    if kind == "Route":
        api.create(plural, route(name, "hello"))
    else:
        api.create(plural, {**service(name), "kind": kind})
    api.create("services", service(name))
    type_ = "ConfigurationsReady" if kind == "Configuration" else "RoutesReady"
    found = api.condition("services", name, type_, "False", "NotOwned")
    assert found["message"] == f'There is an existing {kind} "{name}" that we do not own.'
    api.condition("services", name, "Ready", "False", "NotOwned")
    assert "ownerReferences" not in api.get(plural, name)["metadata"]


def test_a_service_of_another_stands_in_the_way(api: Api) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "blocked"},
        "spec": {"ports": [{"port": 80}]},
    }
    api.create("core-services", foreign)
    api.create("services", service("blocked"))
    found = api.condition("routes", "blocked", "IngressReady", "False", "NotOwned")
    assert found["message"] == (
        'There is an existing placeholder Service "blocked" that we do not own.'
    )


def mapping(name: str, target: str, **ref: Any) -> Obj:
    reference = {"kind": "Service", "name": target, "apiVersion": "serving.knative.dev/v1", **ref}
    return {
        "apiVersion": "serving.knative.dev/v1beta1",
        "kind": "DomainMapping",
        "metadata": {"name": name},
        "spec": {"ref": reference},
    }


def claim(name: str, namespace: str) -> Obj:
    return {
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "ClusterDomainClaim",
        "metadata": {"name": name},
        "spec": {"namespace": namespace},
    }


def test_a_domain_without_claim(api: Api) -> None:
    api.create("domainmappings", mapping("unclaimed.example.org", "hello"))
    found = api.condition(
        "domainmappings", "unclaimed.example.org", "DomainClaimed", "False", "DomainClaimFailed"
    )
    assert 'autocreate-cluster-domain-claims is "false"' in found["message"]
    api.condition("domainmappings", "unclaimed.example.org", "Ready", "False", "DomainClaimFailed")


def test_a_domain_of_another_namespace(api: Api) -> None:
    api.create("clusterdomainclaims", claim("others.example.org", "elsewhere"))
    api.create("domainmappings", mapping("others.example.org", "hello"))
    found = api.condition("domainmappings", "others.example.org", "Ready", "False")
    assert found["reason"] == "DomainAlreadyClaimed"
    api.delete("clusterdomainclaims", "others.example.org")


def test_a_claimed_domain_is_ready(api: Api) -> None:
    api.create("clusterdomainclaims", claim(DOMAIN, api.namespace))
    api.create("domainmappings", mapping(DOMAIN, "hello"))
    found = api.ready(DOMAIN, "domainmappings")
    assert {item["type"]: item["status"] for item in found["status"]["conditions"]} == {
        "Ready": "True",
        "DomainClaimed": "True",
        "ReferenceResolved": "True",
        "IngressReady": "True",
        "CertificateProvisioned": "True",
    }
    assert found["status"]["url"].startswith(f"http://{DOMAIN}")
    api.delete("clusterdomainclaims", DOMAIN)


def test_a_domain_that_leads_nowhere(api: Api) -> None:
    api.create("clusterdomainclaims", claim("lost.example.org", api.namespace))
    api.create("domainmappings", mapping("lost.example.org", "nobody"))
    found = api.condition(
        "domainmappings", "lost.example.org", "ReferenceResolved", "False", "ResolveFailed"
    )
    assert found["message"] == 'services.serving.knative.dev "nobody" not found'
    api.delete("clusterdomainclaims", "lost.example.org")


def test_while_it_comes_up_all_is_unknown(api: Api) -> None:
    api.create("services", with_env(service("coming"), LOAD_SECONDS="3600"))
    revision = api.wait("revisions", "coming-00001", lambda obj: condition(obj, "Ready"))
    assert condition(revision, "Ready") | {"lastTransitionTime": ""} == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "Deploying",
        "lastTransitionTime": "",
    }
    waiting = api.condition("services", "coming", "RoutesReady", "Unknown", "RevisionMissing")
    assert waiting["message"] == (
        'Configuration "coming" is waiting for a Revision to become ready.'
    )
    api.delete("services", "coming")


def test_a_failed_update_keeps_what_serves(api: Api) -> None:
    api.apply_ready(service("kept"))
    broken = with_env(service("kept"), EXIT_CODE="3")
    good(api.merge("services", "kept", {"spec": broken["spec"]}))
    api.condition("services", "kept", "ConfigurationsReady", "False", "RevisionFailed")
    found = api.get("services", "kept")
    assert found["status"]["latestReadyRevisionName"] == "kept-00001"
    assert found["status"]["latestCreatedRevisionName"] == "kept-00002"
    assert found["status"]["traffic"][0]["revisionName"] == "kept-00001"
    host = found["status"]["url"].split("//")[1]
    assert api.platform.request(host).json()["revision"] == "kept-00001"
