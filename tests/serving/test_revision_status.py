"""What a Revision says of itself, given what it owns."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.serving.conditions import TRUE, Verdict, aggregate, conditions, false, unknown
from tidegate.serving.revisions.status import Observed, container_digests, verdicts

Obj = dict[str, Any]


def deployment(replicas: int = 1, available: int = 0, *found: Obj) -> Obj:
    status = {"availableReplicas": available, "conditions": list(found)}
    return {"spec": {"replicas": replicas}, "status": status}


def autoscaler(*found: tuple[str, str, str]) -> Obj:
    return {
        "status": {
            "conditions": [
                {"type": kind, "status": status, "reason": reason} for kind, status, reason in found
            ]
        }
    }


def pod(**status: Any) -> Obj:
    return {"metadata": {"name": "p"}, "status": status}


INITIALIZED = autoscaler(("ScaleTargetInitialized", "True", ""), ("Active", "True", ""))
DEPLOYING = unknown("Deploying")


def test_while_the_first_pod_comes_up_all_is_unknown() -> None:
    found = verdicts(Observed(deployment(), autoscaler(), ()))
    assert set(found.values()) == {DEPLOYING}


def test_once_initialized_it_is_ready_even_at_zero() -> None:
    at_zero = autoscaler(("ScaleTargetInitialized", "True", ""), ("Active", "False", "NoTraffic"))
    found = verdicts(Observed(deployment(replicas=0), at_zero, ()))
    assert found["ResourcesAvailable"] == found["ContainerHealthy"] == TRUE
    assert found["Active"].reason == "NoTraffic"


@pytest.mark.parametrize(
    ("observed", "kind", "reason", "message"),
    [
        pytest.param(
            Observed(
                deployment(),
                autoscaler(),
                (
                    pod(
                        conditions=[
                            {
                                "type": "PodScheduled",
                                "status": "False",
                                "reason": "Unschedulable",
                                "message": "no GPU free",
                            }
                        ]
                    ),
                ),
            ),
            "ResourcesAvailable",
            "Unschedulable",
            "no GPU free",
            id="unschedulable",
        ),
        pytest.param(
            Observed(
                deployment(
                    1,
                    0,
                    {
                        "type": "Progressing",
                        "status": "False",
                        "reason": "ProgressDeadlineExceeded",
                        "message": "has timed out progressing",
                    },
                ),
                autoscaler(),
                (),
            ),
            "ResourcesAvailable",
            "ProgressDeadlineExceeded",
            "has timed out progressing",
            id="deadline",
        ),
        pytest.param(
            Observed(
                deployment(
                    1,
                    0,
                    {
                        "type": "ReplicaFailure",
                        "status": "True",
                        "reason": "FailedCreate",
                        "message": "quota",
                    },
                ),
                autoscaler(),
                (),
            ),
            "ResourcesAvailable",
            "FailedCreate",
            "quota",
            id="replica failure",
        ),
        pytest.param(
            Observed(
                deployment(),
                INITIALIZED,
                (
                    pod(
                        containerStatuses=[
                            {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
                        ]
                    ),
                ),
            ),
            "ContainerHealthy",
            "ExitCode137",
            "Container failed with: exit code 137 (OOMKilled)",
            id="crash of a revision that was ready",
        ),
        pytest.param(
            Observed(
                deployment(),
                autoscaler(),
                (
                    pod(
                        containerStatuses=[
                            {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
                        ]
                    ),
                ),
            ),
            "ContainerHealthy",
            "ExitCode0",
            "Container failed with: container exited with no error",
            id="end without a word",
        ),
        pytest.param(
            Observed(
                deployment(),
                autoscaler(("Active", "False", "TimedOut")),
                (),
            ),
            "ResourcesAvailable",
            "ProgressDeadlineExceeded",
            "Initial scale was never achieved",
            id="timed out",
        ),
    ],
)
def test_failures(observed: Observed, kind: str, reason: str, message: str) -> None:
    assert verdicts(observed)[kind] == false(reason, message)


def test_a_failure_outlives_the_pods_that_showed_it() -> None:
    failed = false("ExitCode1", "Container failed with: no model")
    timed_out = autoscaler(("Active", "False", "TimedOut"))
    observed = Observed(
        deployment(replicas=0), timed_out, (), previous={"ContainerHealthy": failed}
    )
    found = verdicts(observed)
    assert found["ContainerHealthy"] == failed
    assert found["ResourcesAvailable"].reason == "ProgressDeadlineExceeded"


def test_a_failure_ends_when_a_pod_does_better() -> None:
    failed = false("ImagePullBackOff", "no image")
    observed = Observed(
        deployment(), autoscaler(), (pod(),), previous={"ResourcesAvailable": failed}
    )
    assert verdicts(observed)["ResourcesAvailable"] == DEPLOYING


def test_one_crash_among_available_pods_is_no_failure() -> None:
    crashed = pod(containerStatuses=[{"state": {"terminated": {"exitCode": 1}}}])
    found = verdicts(Observed(deployment(2, 1), INITIALIZED, (crashed,)))
    assert found["ContainerHealthy"] == TRUE


def test_a_cluster_may_wait_for_scarce_nodes() -> None:
    waiting = pod(conditions=[{"type": "PodScheduled", "status": "False"}])
    observed = Observed(deployment(), autoscaler(), (waiting,), ignore_unschedulable=True)
    assert verdicts(observed)["ResourcesAvailable"] == DEPLOYING


def test_digests_come_from_the_spec_or_from_a_pod() -> None:
    revision = {
        "spec": {
            "containers": [
                {"name": "a", "image": "a@sha256:1"},
                {"name": "b", "image": "b:1"},
                {"name": "c", "image": "c:1"},
            ]
        }
    }
    running = pod(containerStatuses=[{"name": "b", "imageID": "b@sha256:2"}])
    assert container_digests(revision, (running,), "containers") == [
        {"name": "a", "imageDigest": "a@sha256:1"},
        {"name": "b", "imageDigest": "b@sha256:2"},
        {"name": "c"},
    ]
    later = {**revision, "status": {"containerStatuses": [{"name": "c", "imageDigest": "c@x"}]}}
    assert container_digests(later, (), "containers")[2] == {"name": "c", "imageDigest": "c@x"}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([TRUE, TRUE], TRUE),
        ([TRUE, unknown("A")], unknown("A")),
        ([unknown("A"), false("B", "b")], false("B", "b")),
    ],
)
def test_failure_before_doubt_before_true(parts: list[Verdict], expected: Verdict) -> None:
    assert aggregate(parts) == expected


def test_a_transition_is_dated_only_when_the_status_changes() -> None:
    first = conditions({}, {"A": unknown("X")}, dependants=("A",), now="t1")
    obj = {"status": {"conditions": first}}
    second = conditions(obj, {"A": unknown("Y")}, dependants=("A",), now="t2")
    assert {item["lastTransitionTime"] for item in second} == {"t1"}
    obj = {"status": {"conditions": second}}
    third = conditions(obj, {"A": TRUE}, dependants=("A",), now="t3")
    assert {item["lastTransitionTime"] for item in third} == {"t3"}
