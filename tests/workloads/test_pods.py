"""The order in which pods are given up, and what a template becomes."""

from __future__ import annotations

import re

from tidegate.workloads.pods import available_in, pod_from_template, safe_encode, scale_down_rank


def _pod(name, *, node="tidegate", phase="Running", ready=None, cost=None, created="00:00:00"):
    status = {"phase": phase}
    if ready:
        status["conditions"] = [
            {
                "type": "Ready",
                "status": "True",
                "lastTransitionTime": f"2026-01-01T{ready}Z",
            }
        ]
    annotations = {"controller.kubernetes.io/pod-deletion-cost": cost} if cost else {}
    return {
        "metadata": {
            "name": name,
            "annotations": annotations,
            "creationTimestamp": f"2026-01-01T{created}Z",
        },
        "spec": {"nodeName": node} if node else {},
        "status": status,
    }


def test_pods_are_given_up_in_kubernetes_order():
    expected = [
        _pod("unassigned", node="", phase="Pending"),
        _pod("pending", phase="Pending"),
        _pod("not-ready"),
        _pod("cheap", ready="00:00:01", cost="-100"),
        _pod("ready-later", ready="00:10:00"),
        _pod("newer", ready="00:00:05", created="00:00:04"),
        _pod("older", ready="00:00:05", created="00:00:03"),
        _pod("dear", ready="00:20:00", cost="7"),
    ]
    shuffled = [expected[i] for i in (7, 2, 5, 0, 6, 3, 1, 4)]
    ordered = sorted(shuffled, key=scale_down_rank)
    assert [pod["metadata"]["name"] for pod in ordered] == [p["metadata"]["name"] for p in expected]


def test_a_cost_that_is_no_number_counts_as_zero():
    assert scale_down_rank(_pod("a", cost="cheap")) == scale_down_rank(_pod("b", cost="0"))


def test_availability_waits_for_min_ready_seconds():
    pod = _pod("a", ready="00:00:10")
    ready_at = 1767225610.0
    assert available_in(pod, 0, now=ready_at) == 0
    assert available_in(pod, 5, now=ready_at + 2) == 3
    assert available_in(_pod("b"), 5, now=ready_at) is None


def test_a_pod_takes_after_its_template_and_owner():
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web-abc", "namespace": "shop", "uid": "u1"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
                "spec": {"containers": [{"name": "c"}]},
            }
        },
    }
    pod = pod_from_template(owner)
    assert re.fullmatch(r"web-abc-[bcdfghjklmnpqrstvwxz2456789]{5}", pod["metadata"]["name"])
    assert pod["metadata"]["labels"] == {"app": "web"}
    assert pod["metadata"]["ownerReferences"][0]["controller"] is True
    pod["spec"]["containers"].append("x")
    assert owner["spec"]["template"]["spec"]["containers"] == [{"name": "c"}]


def test_encoded_names_have_a_fixed_length():
    assert len(safe_encode(0, length=10)) == 10
    assert len(safe_encode(2**64 - 1, length=10)) == 10
