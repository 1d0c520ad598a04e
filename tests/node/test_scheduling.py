"""Whether the node may take a pod: the rules, and what pods wait for and are told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.node.running import Stage
from tests.node.running import pod as pod_of
from tidegate.kube.objects import Object, condition_of
from tidegate.kube.resources import NODES, PODS
from tidegate.node.lifecycle.scheduling import refusal

MISMATCH = "node(s) didn't match Pod's node affinity/selector"
GPU = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
LABELS = {"disk": "fast", "cores": "16", "word": "many"}


def node(*taints: Object, **spec: Any) -> Object:
    return {"metadata": {"name": "n", "labels": LABELS}, "spec": {"taints": list(taints), **spec}}


def affinity(*terms: Object) -> Object:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [*terms]}}
    return {"affinity": {"nodeAffinity": required}}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": [*values]}]}


def named(operator: str, *values: str) -> Object:
    return {"matchFields": [{"key": "metadata.name", "operator": operator, "values": [*values]}]}


@pytest.mark.parametrize(
    ("toleration", "taken"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "dedicated", "operator": "Exists"}, True),
        ({"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": ""}, True),
        ({"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "value": "cpu"}, False),
        ({"key": "dedicated"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_a_taint_is_tolerated_by_effect_key_and_value(toleration: Object, taken: bool) -> None:
    problem = refusal(pod_of("a", tolerations=[toleration]), node(GPU))
    assert problem == ("" if taken else "node(s) had untolerated taint {dedicated: gpu}")


def test_every_taint_has_to_be_tolerated() -> None:
    tolerations = [{"key": "dedicated", "operator": "Exists"}]
    second = {"key": "broken", "effect": "NoExecute"}
    problem = refusal(pod_of("a", tolerations=tolerations), node(GPU, second))
    assert problem == "node(s) had untolerated taint {broken: }"


def test_a_node_that_is_not_preferred_is_taken_for_want_of_another() -> None:
    assert refusal(pod_of("a"), node({**GPU, "effect": "PreferNoSchedule"})) == ""


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
    ],
)
def test_a_cordon_is_tolerated_as_the_taint_that_stands_for_it(toleration: Object) -> None:
    assert refusal(pod_of("a"), node(unschedulable=True)) == "node(s) were unschedulable"
    assert refusal(pod_of("a", tolerations=[toleration]), node(unschedulable=True)) == ""


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ({"nodeSelector": {}}, True),
        ({"nodeSelector": {"disk": "fast", "cores": "16"}}, True),
        ({"nodeSelector": {"disk": "fast", "gpu": "a100"}}, False),
        (affinity(expression("disk", "In", "slow", "fast")), True),
        (affinity(expression("disk", "In", "slow")), False),
        (affinity(expression("disk", "NotIn", "slow")), True),
        (affinity(expression("gpu", "NotIn", "a100")), True),
        (affinity(expression("disk", "NotIn", "fast")), False),
        (affinity(expression("disk", "Exists")), True),
        (affinity(expression("gpu", "Exists")), False),
        (affinity(expression("gpu", "DoesNotExist")), True),
        (affinity(expression("disk", "DoesNotExist")), False),
        (affinity(expression("cores", "Gt", "8")), True),
        (affinity(expression("cores", "Gt", "16")), False),
        (affinity(expression("cores", "Lt", "17")), True),
        (affinity(expression("cores", "Lt", "16")), False),
        (affinity(expression("word", "Gt", "8")), False),
        (affinity(expression("gpu", "Lt", "8")), False),
        (affinity(expression("cores", "Lt", "much")), False),
        (affinity(named("In", "n")), True),
        (affinity(named("NotIn", "n")), False),
        (affinity(expression("disk", "Exists") | named("In", "other")), False),
        (affinity(named("In", "other"), expression("disk", "Exists")), True),
        (affinity({}), False),
        (affinity({"matchExpressions": []}, named("In", "n")), True),
        ({"nodeSelector": {"disk": "slow"}, **affinity(named("In", "n"))}, False),
        ({"affinity": {"nodeAffinity": {}}}, True),
    ],
)
def test_a_pod_chooses_nodes_by_labels_and_name(spec: Any, taken: bool) -> None:
    assert refusal(pod_of("a", **spec), node()) == ("" if taken else MISMATCH)


async def test_a_pod_waits_until_a_taint_is_gone(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("before")
    await theatre.ready("before")
    await theatre.client.patch(NODES, "tidegate", {"spec": {"taints": [GPU]}})
    await theatre.create("a")
    message = "0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}"
    await theatre.event("FailedScheduling", message)
    pod = await theatre.until("a", lambda p: condition_of(p, "PodScheduled"))
    condition = condition_of(pod, "PodScheduled")
    assert condition is not None
    assert {**condition, "lastTransitionTime": ""} == {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": "",
    }
    assert pod["status"]["phase"] == "Pending"
    await theatre.ready("before")
    await theatre.client.patch(NODES, "tidegate", {"spec": {"taints": []}})
    await theatre.ready("a")


async def test_a_pod_that_comes_to_tolerate_a_taint_goes_at_once(theatre: Stage) -> None:
    await theatre.client.create(
        NODES, {"metadata": {"name": "tidegate"}, "spec": {"taints": [GPU]}}
    )
    theatre.start()
    made = await theatre.create("a")
    await theatre.event("FailedScheduling", "untolerated taint {dedicated: gpu}")
    tolerations = [*made["spec"]["tolerations"], {"key": "dedicated", "operator": "Exists"}]
    patch = {"spec": {"tolerations": tolerations}}
    await theatre.client.patch(PODS, "a", patch, namespace="default")
    # Well before the node would look again by itself.
    await theatre.until("a", lambda p: p["spec"].get("nodeName"), seconds=5)


async def test_a_pod_waits_for_the_labels_that_it_asks_for(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("here", nodeSelector={"kubernetes.io/hostname": "tidegate"})
    await theatre.ready("here")
    await theatre.create("a", nodeSelector={"disk": "fast"})
    await theatre.create("b", **affinity(expression("cores", "Gt", "8")))
    event = await theatre.event("FailedScheduling", MISMATCH)
    assert event["message"] == f"0/1 nodes are available: 1 {MISMATCH}"
    labels = {"disk": "fast", "cores": "16"}
    await theatre.client.patch(NODES, "tidegate", {"metadata": {"labels": labels}})
    await theatre.ready("a")
    await theatre.ready("b")
    await theatre.client.patch(NODES, "tidegate", {"metadata": {"labels": {"disk": None}}})
    await theatre.ready("a")
