"""Section 1.7: labels and annotations, where they come from and what they do."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.conformance.knative import (
    SCALING,
    Api,
    Obj,
    condition,
    good,
    service,
    with_annotations,
)

SERVING = "serving.knative.dev"
NETWORKING = "networking.knative.dev"
NAME = "labelled"
TEMPLATE_ANNOTATIONS = f"spec.template.metadata.annotations.{SCALING}"


@pytest.fixture(scope="module", autouse=True)
def labelled(api: Api) -> Obj:
    obj = service(NAME)
    obj["metadata"]["labels"] = {"team": "red"}
    obj["metadata"]["annotations"] = {"note": "of the service", f"{SERVING}/rollout-duration": "0s"}
    obj["spec"]["template"]["metadata"] = {
        "labels": {"tier": "gold"},
        "annotations": {"note": "of the template", f"{SCALING}/min-scale": "1"},
    }
    return api.apply_ready(obj)


def metadata(api: Api, kind: str, name: str = NAME) -> Obj:
    return api.get(kind, name)["metadata"]


def test_of_a_configuration_and_a_route(api: Api) -> None:
    uid = metadata(api, "services")["uid"]
    for kind in ("configurations", "routes"):
        found = metadata(api, kind)
        assert found["labels"] == {
            "team": "red",
            f"{SERVING}/service": NAME,
            f"{SERVING}/serviceUID": uid,
        }
        assert found["annotations"]["note"] == "of the service"
        assert found["annotations"][f"{SERVING}/creator"] == "tidegate-admin"
        assert found["annotations"][f"{SERVING}/lastModifier"] == "tidegate-admin"
    routed = api.wait(
        "configurations", NAME, lambda obj: f"{SERVING}/routes" in obj["metadata"]["annotations"]
    )
    assert routed["metadata"]["annotations"][f"{SERVING}/routes"] == NAME
    assert routed["metadata"]["generation"] == 1
    # What a rollout lasts is the Route's affair.
    assert f"{SERVING}/rollout-duration" not in metadata(api, "configurations")["annotations"]
    assert f"{SERVING}/rollout-duration" in metadata(api, "routes")["annotations"]


def test_of_a_revision(api: Api) -> None:
    found = api.wait(
        "revisions",
        f"{NAME}-00001",
        lambda obj: obj["metadata"]["labels"].get(f"{SERVING}/routingState") == "active",
    )["metadata"]
    configuration = metadata(api, "configurations")
    assert found["labels"] == {
        "tier": "gold",
        f"{SERVING}/configuration": NAME,
        f"{SERVING}/configurationGeneration": "1",
        f"{SERVING}/configurationUID": configuration["uid"],
        f"{SERVING}/routingState": "active",
        f"{SERVING}/service": NAME,
        f"{SERVING}/serviceUID": metadata(api, "services")["uid"],
    }
    annotations = found["annotations"]
    assert annotations["note"] == "of the template"
    assert annotations[f"{SERVING}/creator"] == "tidegate-admin"
    assert annotations[f"{SERVING}/routes"] == NAME
    datetime.datetime.fromisoformat(annotations[f"{SERVING}/routingStateModified"])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("deployments", f"{NAME}-00001-deployment"),
        ("podautoscalers", f"{NAME}-00001"),
        ("core-services", f"{NAME}-00001"),
    ],
)
def test_of_what_a_revision_owns(api: Api, kind: str, name: str) -> None:
    found = metadata(api, kind, name)
    revision = metadata(api, "revisions", f"{NAME}-00001")
    wanted = {
        "tier": "gold",
        "app": f"{NAME}-00001",
        f"{SERVING}/configuration": NAME,
        f"{SERVING}/configurationGeneration": "1",
        f"{SERVING}/revision": f"{NAME}-00001",
        f"{SERVING}/revisionUID": revision["uid"],
        f"{SERVING}/service": NAME,
    }
    assert found["labels"].items() >= wanted.items()
    # What changes during the life of a Revision stays with it.
    assert f"{SERVING}/routingState" not in found["labels"]
    assert f"{SERVING}/routes" not in found["annotations"]


def test_of_pods(api: Api) -> None:
    selector = f"{SERVING}/revision={NAME}-00001"
    (name,) = api.names("pods", labelSelector=selector)
    found = metadata(api, "pods", name)
    assert found["labels"]["tier"] == "gold"
    assert found["labels"][f"{SERVING}/service"] == NAME
    assert found["annotations"]["note"] == "of the template"


def test_of_an_ingress(api: Api) -> None:
    found = metadata(api, "ingresses")
    wanted = {
        "team": "red",
        f"{SERVING}/route": NAME,
        f"{SERVING}/routeNamespace": api.namespace,
        f"{SERVING}/service": NAME,
    }
    assert found["labels"].items() >= wanted.items()
    assert found["annotations"][f"{NETWORKING}/ingress-class"]


def test_routing_states(api: Api) -> None:
    """pending, then active, then reserve when the traffic has gone."""
    made = api.create("services", service("states"))
    with_label = api.wait("revisions", "states-00001", lambda _: True)
    state = f"{SERVING}/routingState"
    assert with_label["metadata"]["labels"][state] in ("pending", "active")
    api.ready("states")
    active = api.wait(
        "revisions", "states-00001", lambda obj: obj["metadata"]["labels"][state] == "active"
    )
    since = active["metadata"]["annotations"][f"{SERVING}/routingStateModified"]
    template = {"spec": {"containers": [{"image": "counter", "args": ["x"]}]}}
    good(api.merge("services", "states", {"spec": {"template": template}}))
    reserve = api.wait(
        "revisions", "states-00001", lambda obj: obj["metadata"]["labels"][state] == "reserve"
    )
    annotations = reserve["metadata"]["annotations"]
    assert f"{SERVING}/routes" not in annotations
    assert annotations[f"{SERVING}/routingStateModified"] >= since
    scaler = api.wait(
        "podautoscalers",
        "states-00001",
        lambda obj: obj["spec"]["reachability"] == "Unreachable",
    )
    assert scaler["metadata"]["name"] == "states-00001"
    assert made["metadata"]["generation"] == 1


@pytest.mark.parametrize("change", ["labels", "annotations"])
def test_labels_and_annotations_alone_make_no_generation(api: Api, change: str) -> None:
    patched = good(api.merge("services", NAME, {"metadata": {change: {"more": "x"}}}))
    assert patched["metadata"]["generation"] == 1
    child = api.wait("routes", NAME, lambda obj: obj["metadata"][change].get("more") == "x")
    assert child["metadata"]["generation"] == 1
    assert api.names("revisions", labelSelector=f"{SERVING}/service={NAME}") == [f"{NAME}-00001"]


def test_the_last_modifier_changes_with_the_spec(api: Api) -> None:
    api.create("services", service("authored"))
    kubectl = api.platform.kubectl
    target = ("-n", api.namespace, "ksvc", "authored")
    patch = ("patch", *target, "--type=merge", "--as=ada", "--as-group=system:masters")
    kubectl(*patch, '-p={"metadata":{"labels":{"a":"b"}}}')
    modifier = f"{SERVING}/lastModifier"
    assert metadata(api, "services", "authored")["annotations"][modifier] == "tidegate-admin"
    kubectl(*patch, '-p={"spec":{"template":{"spec":{"timeoutSeconds":10}}}}')
    annotations = metadata(api, "services", "authored")["annotations"]
    assert annotations[modifier] == "ada"
    assert annotations[f"{SERVING}/creator"] == "tidegate-admin"


# Key, values that are taken, values that are not, and why not.
SCALING_KEYS: dict[str, tuple[list[str], list[tuple[str, str]]]] = {
    "class": (
        ["kpa.autoscaling.knative.dev", "hpa.autoscaling.knative.dev", "own.example.com"],
        [("other.autoscaling.knative.dev", "invalid value: other.autoscaling.knative.dev")],
    ),
    "metric": (["concurrency", "rps"], [("cpu", "invalid value: cpu")]),
    "target": (
        ["0.01", "100"],
        [
            ("0.009", "target 0.009 should be at least 0.01"),
            ("many", "invalid value: many"),
            ("1_0", "invalid value: 1_0"),
        ],
    ),
    "target-utilization-percentage": (
        ["1", "100", "70.5"],
        [("0.5", "expected 1 <= 0.5 <= 100"), ("101", "expected 1 <= 101 <= 100")],
    ),
    "min-scale": (
        ["0", "5"],
        [
            ("-1", "expected 0 <= -1 <= 2147483647"),
            ("x", "invalid value: x"),
            (" 1", "invalid value:  1"),
            ("1_0", "invalid value: 1_0"),
        ],
    ),
    "max-scale": (
        ["0", "5"],
        [("-1", "expected 0 <= -1 <= 2147483647"), ("1.5", "invalid value: 1.5")],
    ),
    "initial-scale": (
        ["1", "7"],
        [("-1", "invalid value: -1"), ("0", "=0 not allowed by cluster")],
    ),
    "activation-scale": (["2", "9"], [("1", "activation-scale=1 must be greater than 1")]),
    "scale-down-delay": (
        ["0s", "1h", "90s"],
        [
            ("61m", "expected 0s <= 61m <= 1h0m0s"),
            ("-1s", "expected 0s <= -1s <= 1h0m0s"),
            ("1500ms", "must be specified with at most second precision"),
            ("soon", "invalid value: soon"),
        ],
    ),
    "window": (
        ["6s", "1h", "1m30s"],
        [
            ("5s", "expected 6s <= 5s <= 1h0m0s"),
            ("2h", "expected 6s <= 2h <= 1h0m0s"),
            ("6500ms", "must be specified with at most second precision"),
            ("60", "invalid value: 60"),
        ],
    ),
    "panic-window-percentage": (
        ["1", "100"],
        [("0.5", "expected 1 <= 0.5 <= 100"), ("101", "expected 1 <= 101 <= 100")],
    ),
    "panic-threshold-percentage": (
        ["110", "1000"],
        [("109", "expected 110 <= 109 <= 1000"), ("1001", "expected 110 <= 1001 <= 1000")],
    ),
    "target-burst-capacity": (
        ["-1", "0", "500"],
        [("-2", "invalid value: -2"), ("-0.5", "invalid value: -0.5")],
    ),
    "scale-to-zero-pod-retention-period": (
        ["0s", "1h", "1500ms"],
        [("61m", "expected 0s <= 61m <= 1h0m0s"), ("x", "invalid value: x")],
    ),
    "metric-aggregation-algorithm": (
        ["linear", "weighted-exponential"],
        [("median", "invalid value: median")],
    ),
}


def camel(name: str) -> str:
    head, *rest = name.split("-")
    return head + "".join(word.capitalize() for word in rest)


@pytest.mark.parametrize("key", SCALING_KEYS)
def test_scaling_annotations(api: Api, key: str) -> None:
    good_values, bad_values = SCALING_KEYS[key]
    for spelling in {key, camel(key)}:
        name = f"{SCALING}/{spelling}"
        for value in good_values:
            stored = api.admitted("services", with_annotations({name: value}))
            annotations = stored["spec"]["template"]["metadata"]["annotations"]
            assert annotations[name] == value
        for value, message in bad_values:
            refusal = api.refusal("services", with_annotations({name: value}))
            assert message in refusal
            assert name in refusal


TOGETHER: list[tuple[dict[str, str], str]] = [
    (
        {"min-scale": "5", "max-scale": "2"},
        f"max-scale=2 is less than min-scale=5: "
        f"{TEMPLATE_ANNOTATIONS}/max-scale, {TEMPLATE_ANNOTATIONS}/min-scale",
    ),
    (
        {"min-scale": "5", "activation-scale": "3"},
        f"min-scale=5 is greater than activation-scale=3: {TEMPLATE_ANNOTATIONS}/activation-scale",
    ),
    (
        {"max-scale": "2", "activation-scale": "3"},
        f"max-scale=2 is less than activation-scale=3: {TEMPLATE_ANNOTATIONS}/activation-scale",
    ),
    (
        {"class": "hpa.autoscaling.knative.dev", "metric": ""},
        f"invalid value: : {TEMPLATE_ANNOTATIONS}/metric",
    ),
]


@pytest.mark.parametrize(("annotations", "message"), TOGETHER)
def test_annotations_that_contradict_each_other(
    api: Api, annotations: dict[str, str], message: str
) -> None:
    keyed = {f"{SCALING}/{name}": value for name, value in annotations.items()}
    assert api.refusal("services", with_annotations(keyed)) == message


def test_the_class_decides_which_metrics_there_are(api: Api) -> None:
    for metric in ("cpu", "memory", "tokens-per-second"):
        keyed = {
            f"{SCALING}/class": "hpa.autoscaling.knative.dev",
            f"{SCALING}/metric": metric,
        }
        api.admitted("services", with_annotations(keyed))


NETWORKING_KEYS = (
    "ingress-class",
    "ingress.class",
    "certificate-class",
    "certificate.class",
    "disable-auto-tls",
    "disable-external-domain-tls",
    "http-protocol",
    "httpOption",
    "wildcardDomain",
    "certificate-type",
)


@pytest.mark.parametrize("key", NETWORKING_KEYS)
def test_networking_annotations_are_known(api: Api, key: str) -> None:
    obj = service()
    obj["metadata"]["annotations"] = {f"{NETWORKING}/{key}": "true"}
    stored = api.admitted("services", obj)
    assert stored["metadata"]["annotations"][f"{NETWORKING}/{key}"] == "true"


@pytest.mark.parametrize(
    "key",
    [
        *(
            f"queue.sidecar.serving.knative.dev/{name}-resource-{section}"
            for name in ("cpu", "memory", "ephemeral-storage")
            for section in ("request", "limit")
        ),
        "queue.sidecar.serving.knative.dev/resource-percentage",
        "features.knative.dev/queueproxy-podinfo",
        "features.knative.dev/http-full-duplex",
    ],
)
def test_annotations_of_the_sidecar_are_taken_and_kept(api: Api, key: str) -> None:
    stored = api.admitted("services", with_annotations({key: "10"}))
    assert stored["spec"]["template"]["metadata"]["annotations"][key] == "10"


@pytest.mark.parametrize("key", ["http-protocol", "httpOption", "httpProtocol"])
def test_http_protocol_becomes_the_option_of_the_ingress(api: Api, key: str) -> None:
    name = f"option-{key.lower()}"
    obj = service(name)
    obj["metadata"]["annotations"] = {f"{NETWORKING}/{key}": "Redirected"}
    api.create("services", obj)
    found = api.wait("ingresses", name, lambda _: True)
    assert found["spec"]["httpOption"] == "Redirected"


def test_an_ingress_class_is_passed_on(api: Api) -> None:
    obj = service("classy")
    key = f"{NETWORKING}/ingress-class"
    obj["metadata"]["annotations"] = {key: "other.ingress.example.org"}
    api.create("services", obj)
    found = api.wait("ingresses", "classy", lambda _: True)
    assert found["metadata"]["annotations"][key] == "other.ingress.example.org"


def test_progress_deadline_reaches_the_deployment(api: Api) -> None:
    deadline = with_annotations({f"{SERVING}/progress-deadline": "77s"}, name="deadline")
    api.create("services", deadline)
    found = api.wait("deployments", "deadline-00001-deployment", lambda _: True)
    assert found["spec"]["progressDeadlineSeconds"] == 77


def test_revision_labels_of_knative_are_its_own(api: Api) -> None:
    revision: dict[str, Any] = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Revision",
        "metadata": {"name": "forged", "labels": {f"{SERVING}/nonsense": "x"}},
        "spec": {"containers": [{"image": "counter"}]},
    }
    message = api.refusal("revisions", revision)
    assert message == f'invalid key name "{SERVING}/nonsense": metadata.labels'
    revision["metadata"]["labels"] = {f"{SERVING}/configuration": NAME}
    message = api.refusal("revisions", revision)
    assert message == f"missing field(s): metadata.labels.{SERVING}/configuration"


def test_all_is_well_in_the_end(api: Api) -> None:
    assert condition(api.ready(NAME), "Ready")["status"] == "True"
