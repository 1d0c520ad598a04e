"""Section 2: the autoscaler's arithmetic, as the API shows it under real requests."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.conformance.knative import SCALING, Api, Obj, condition, pod_spec, with_annotations

KPA = "kpa.autoscaling.knative.dev"
# Seconds: more than a window, so that its average is that of the load.
LASTING = "9"


@dataclass(frozen=True)
class Case:
    """Requests at once that last, and the pods that they are worth.

    Attributes:
        pods: what the formulas of sections 2.2 and 2.3 give.
        load: requests at once.
        concurrency: containerConcurrency.
        annotations: of the template, without their group.
    """

    pods: int
    load: int
    concurrency: int = 0
    annotations: dict[str, str] = field(default_factory=dict)


FULL = {"target-utilization-percentage": "100"}
HALF = {"target-utilization-percentage": "50"}
CASES = {
    "limit": Case(3, 3, 1, FULL),
    "default-utilization": Case(math.ceil(4 / (2 * 0.7)), 4, 2),
    "target": Case(math.ceil(5 / 2), 5, 0, {"target": "2", **FULL}),
    "half-used-target": Case(math.ceil(4 / (4 * 0.5)), 4, 0, {"target": "4", **HALF}),
    # The smaller of the annotation and containerConcurrency counts.
    "target-above-limit": Case(2, 2, 1, {"target": "10", **FULL}),
    "target-below-limit": Case(2, 2, 10, {"target": "1", **FULL}),
    "default-target": Case(1, 5),
    "max-scale": Case(2, 5, 1, {"max-scale": "2", **FULL}),
    "activation-scale": Case(3, 1, 1, {"activation-scale": "3", **FULL}),
    "min-scale": Case(2, 1, 0, {"min-scale": "2"}),
}


def scaled(name: str, case: Case) -> Obj:
    # A short window, so that an average over it is soon that of the load.
    annotations = {"window": "6s", **case.annotations}
    obj = with_annotations({f"{SCALING}/{k}": v for k, v in annotations.items()}, name=name)
    pod_spec(obj)["containerConcurrency"] = case.concurrency
    return obj


@pytest.fixture(scope="module")
def peaks(api: Api) -> Iterator[dict[str, int]]:
    """All cases at once: the most pods that each autoscaler has wanted under its load."""
    for name, case in CASES.items():
        api.create("services", scaled(name, case))
    hosts = {name: api.ready(name)["status"]["url"].split("//")[1] for name in CASES}

    def most(name: str) -> int:
        events = api.watch("podautoscalers", f"{name}-00001", timeoutSeconds=LASTING)
        return max(event["object"]["status"].get("desiredScale", 0) for event in events)

    with contextlib.ExitStack() as stack:
        for name, case in CASES.items():
            for _ in range(case.load):
                address = ("127.0.0.1", api.platform.gateway_port)
                client = stack.enter_context(socket.create_connection(address))
                client.sendall(f"GET /?work=60 HTTP/1.1\r\nHost: {hosts[name]}\r\n\r\n".encode())
        with ThreadPoolExecutor(len(CASES)) as pool:
            found = dict(zip(CASES, pool.map(most, CASES), strict=True))
    yield found
    for name in CASES:
        api.delete("services", name)


@pytest.mark.parametrize("name", CASES)
def test_pods_for_the_load(peaks: dict[str, int], name: str) -> None:
    assert peaks[name] == CASES[name].pods


def test_what_a_revision_asks_of_its_autoscaler(api: Api) -> None:
    annotations = {
        f"{SCALING}/{name}": value
        for name, value in {
            "target": "7",
            "min-scale": "1",
            "max-scale": "3",
            "window": "10s",
            "metric": "rps",
        }.items()
    }
    obj = with_annotations(annotations, name="asked")
    pod_spec(obj)["containerConcurrency"] = 4
    pod_spec(obj)["containers"][0]["ports"] = [{"name": "http1", "containerPort": 8080}]
    api.apply_ready(obj)
    scaler = api.ready("asked-00001", "podautoscalers")
    assert scaler["spec"] == {
        "containerConcurrency": 4,
        "protocolType": "http1",
        "reachability": "Reachable",
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "asked-00001-deployment",
        },
    }
    found = scaler["metadata"]["annotations"]
    assert found.items() >= annotations.items()
    assert found[f"{SCALING}/class"] == KPA
    status = scaler["status"]
    assert status["serviceName"] == "asked-00001"
    assert status["metricsServiceName"] == "asked-00001-private"
    assert (status["desiredScale"], status["actualScale"]) == (1, 1)
    assert status["observedGeneration"] == scaler["metadata"]["generation"]


def test_the_initial_scale_is_reached_before_it_is_ready(api: Api) -> None:
    obj = with_annotations({f"{SCALING}/initial-scale": "3"}, name="initial")
    api.create("services", obj)
    scales: list[int] = []

    def initialized(found: Obj) -> bool:
        scales.append(found.get("status", {}).get("desiredScale", 0))
        return condition(found, "ScaleTargetInitialized").get("status") == "True"

    found = api.wait("podautoscalers", "initial-00001", initialized)
    assert found["status"]["actualScale"] >= 3
    assert max(scales) == 3
    api.ready("initial")
    api.delete("services", "initial")


def test_a_revision_without_traffic_has_no_minimum(api: Api) -> None:
    annotations = {f"{SCALING}/min-scale": "2", f"{SCALING}/window": "6s"}
    fast = {"scale-to-zero-grace-period": "0s"}
    with api.settings("config-autoscaler", fast):
        obj = with_annotations(annotations, name="reserve")
        api.apply_ready(obj)
        api.wait(
            "podautoscalers",
            "reserve-00001",
            lambda found: found["status"].get("actualScale") == 2,
        )
        obj["spec"]["template"]["spec"]["containers"][0]["args"] = ["two"]
        response = api.merge("services", "reserve", {"spec": obj["spec"]})
        assert response.status_code == 200
        found = api.wait(
            "podautoscalers",
            "reserve-00001",
            lambda found: found["status"].get("desiredScale") == 0,
        )
        assert found["spec"]["reachability"] == "Unreachable"
    api.delete("services", "reserve")


def test_scale_to_zero_can_be_switched_off(api: Api) -> None:
    never = {"enable-scale-to-zero": "false", "scale-to-zero-grace-period": "0s"}
    kept = with_annotations({f"{SCALING}/window": "6s"}, name="kept")
    other = with_annotations({f"{SCALING}/window": "6s"}, name="timer")
    with api.settings("config-autoscaler", never):
        api.apply_ready(kept)
        # A window and more: another one that is looked at in the same rhythm.
        host = api.apply_ready(other)["status"]["url"].split("//")[1]
        assert api.platform.request(host, "/?work=8").status_code == 200
        assert api.get("podautoscalers", "kept-00001")["status"]["desiredScale"] == 1
        assert api.get("revisions", "kept-00001")["status"]["actualReplicas"] == 1
    for name in ("kept", "timer"):
        api.delete("services", name)


def test_the_scale_is_the_deployments(api: Api) -> None:
    obj = with_annotations({f"{SCALING}/min-scale": "2"}, name="written")
    api.apply_ready(obj)
    path = f"{api.path('deployments', 'written-00001-deployment')}/scale"
    assert api.http.get(path).json()["spec"]["replicas"] == 2
    revision = api.wait(
        "revisions", "written-00001", lambda found: found["status"].get("actualReplicas") == 2
    )
    assert revision["status"]["desiredReplicas"] == 2
    api.delete("services", "written")


def test_another_class_is_left_to_its_controller(api: Api) -> None:
    obj = with_annotations({f"{SCALING}/class": "own.example.org"}, name="foreign")
    api.create("services", obj)
    found = api.wait("podautoscalers", "foreign-00001", lambda _: True)
    assert found["metadata"]["annotations"][f"{SCALING}/class"] == "own.example.org"
    # What a controller of that class says is what the Revision goes by.
    status = {
        "desiredScale": 1,
        "actualScale": 1,
        "observedGeneration": found["metadata"]["generation"],
        "serviceName": "foreign-00001",
        "metricsServiceName": "foreign-00001-private",
        "conditions": [
            {"type": name, "status": "True"}
            for name in ("Active", "Ready", "SKSReady", "ScaleTargetInitialized")
        ],
    }
    path = f"{api.path('podautoscalers', 'foreign-00001')}/status"
    headers = {"Content-Type": "application/merge-patch+json"}
    assert api.http.patch(path, json={"status": status}, headers=headers).status_code == 200
    api.ready("foreign")
    api.delete("services", "foreign")
