"""Slices and Endpoints from a Service and its pods."""

from __future__ import annotations

import json

import pytest

from tidegate.workloads.endpoints.slices import (
    backing_pods,
    endpoint_slices,
    endpoints,
    selects,
)


def _service(**spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "s1", "labels": {"team": "a"}},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
            **spec,
        },
    }


def _pod(name, *, ports=None, ready=True, deleting=False, ip="127.0.0.1", phase="Running"):
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "labels": {"app": "web"}}
    if ports:
        metadata["annotations"] = {"tidegate.dev/ports": json.dumps(ports)}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {
            "nodeName": "tidegate",
            "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}],
        },
        "status": {
            "phase": phase,
            "podIP": ip,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def test_each_set_of_real_ports_gets_a_slice():
    pods = [_pod("a", ports={"8080": 31000}), _pod("b", ports={"8080": 31001})]
    slices = endpoint_slices(_service(), pods)
    found = {s["ports"][0]["port"]: s["endpoints"][0]["targetRef"]["name"] for s in slices}
    assert found == {31000: "a", 31001: "b"}
    assert slices[0]["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert slices[0]["metadata"]["labels"]["team"] == "a"
    assert len({s["metadata"]["name"] for s in slices}) == 2


def test_pods_of_a_cluster_share_a_slice_of_at_most_a_hundred():
    pods = [_pod(f"p{i:03}", ip=f"10.0.0.{i}") for i in range(150)]
    slices = endpoint_slices(_service(), pods)
    assert [len(s["endpoints"]) for s in slices] == [100, 50]
    assert all(s["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}] for s in slices)


def test_names_follow_from_the_content():
    pods = [_pod("a", ports={"8080": 31000})]
    first, again = endpoint_slices(_service(), pods), endpoint_slices(_service(), pods)
    assert first == again


@pytest.mark.parametrize("target", ["web", 8080, "8080"])
def test_named_and_numeric_target_ports_resolve(target):
    service = _service(ports=[{"port": 80, "targetPort": target}])
    (found,) = endpoint_slices(service, [_pod("a", ports={"8080": 31000})])
    assert found["ports"] == [{"name": "", "port": 31000, "protocol": "TCP"}]


def test_a_named_port_that_a_pod_lacks_is_left_out():
    service = _service(ports=[{"port": 80, "targetPort": "metrics"}])
    (found,) = endpoint_slices(service, [_pod("a")])
    assert found["ports"] == []


@pytest.mark.parametrize(
    ("ready", "deleting", "publish", "conditions"),
    [
        (True, False, False, {"ready": True, "serving": True, "terminating": False}),
        (False, False, False, {"ready": False, "serving": False, "terminating": False}),
        (True, True, False, {"ready": False, "serving": True, "terminating": True}),
        (False, False, True, {"ready": True, "serving": False, "terminating": False}),
    ],
)
def test_conditions_of_an_endpoint(ready, deleting, publish, conditions):
    service = _service(publishNotReadyAddresses=publish)
    (found,) = endpoint_slices(service, [_pod("a", ready=ready, deleting=deleting)])
    assert found["endpoints"][0]["conditions"] == conditions


def test_finished_and_unaddressed_pods_back_nothing():
    pods = [_pod("done", phase="Succeeded"), _pod("new", ip=""), _pod("ok")]
    assert [p["metadata"]["name"] for p in backing_pods(_service(), pods)] == ["ok"]


@pytest.mark.parametrize("spec", [{"selector": {}}, {"type": "ExternalName"}])
def test_services_whose_endpoints_are_not_ours(spec):
    assert not selects(_service(**spec))


def test_endpoints_split_ready_from_unready():
    subset = endpoints(_service(), [_pod("a"), _pod("b", ready=False)])["subsets"][0]
    assert [a["targetRef"]["name"] for a in subset["addresses"]] == ["a"]
    assert [a["targetRef"]["name"] for a in subset["notReadyAddresses"]] == ["b"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
