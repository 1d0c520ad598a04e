"""Which pods go, which come back, and that the number of replicas follows the drained ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.autoscaling.policies.selection import Plan, PodView, choose, plan, take_back


def _pods(count, **fields):
    return [PodView(f"p{i}", ready=True, created=float(i), **fields) for i in range(count)]


def test_growth_is_written_at_once():
    assert plan(5, 1, _pods(1), {}) == Plan(replicas=5)
    assert plan(5, 5, _pods(1), {}) == Plan()


def test_idle_pods_are_marked_newest_first_and_the_scale_waits():
    step = plan(2, 4, _pods(4), {"p3": 1})
    assert step == Plan(drain=("p2", "p1"))


def test_drained_pods_leave_all_at_once():
    pods = _pods(4)
    pods[2] = replace(pods[2], draining=True, drained=True)
    pods[3] = replace(pods[3], draining=True, drained=True)
    assert plan(2, 4, pods, {}) == Plan(replicas=2)


def test_a_busy_marked_pod_keeps_its_replica():
    pods = _pods(3)
    pods[1] = replace(pods[1], draining=True)
    pods[2] = replace(pods[2], draining=True, drained=True)
    assert plan(1, 3, pods, {"p1": 1}) == Plan(replicas=2, condemn=("p2",))


def test_demand_takes_marked_pods_back_before_it_creates_new_ones():
    pods = _pods(4)
    pods[2] = replace(pods[2], draining=True)
    pods[3] = replace(pods[3], draining=True, drained=True)
    assert plan(3, 4, pods, {}) == Plan(replicas=3, undrain=("p2",), condemn=("p3",))
    step = plan(6, 4, pods, {})
    assert step.replicas == 6
    assert set(step.undrain) == {"p2", "p3"}


def test_pods_already_going_are_not_paid_for_twice():
    pods = _pods(5)
    for i in (3, 4):
        pods[i] = replace(pods[i], draining=True, drained=True)
    assert plan(3, 3, pods, {}) == Plan()


def test_a_pod_that_the_scale_has_been_lowered_by_does_not_come_back():
    # The ReplicaSet deletes one of the two any moment: it must be the one that is marked.
    pods = _pods(2)
    pods[0] = replace(pods[0], draining=True, drained=True)
    assert plan(2, 1, pods, {}) == Plan(replicas=2)
    # Of two such pods one may come back where only one is to go.
    pods = _pods(3, draining=True, drained=True)
    assert plan(3, 2, pods, {}) == Plan(replicas=3, undrain=("p0", "p1"))


def test_no_empty_pod_comes_back_while_a_lower_scale_may_still_take_effect():
    pods = _pods(3)
    pods[1] = replace(pods[1], draining=True, drained=True)
    pods[2] = replace(pods[2], draining=True)
    assert plan(3, 3, pods, {}, is_settled=False) == Plan(undrain=("p2",))
    assert plan(3, 3, pods, {}) == Plan(undrain=("p2", "p1"))


def test_replicas_that_are_not_there_yet_need_no_drain():
    assert plan(2, 5, _pods(2), {}) == Plan(replicas=2)
    assert plan(1, 5, _pods(2), {}) == Plan(replicas=2, drain=("p1",))


def test_pods_that_do_not_serve_go_before_any_that_do():
    pods = [PodView("idle", ready=True, created=9), PodView("loading", ready=False, created=1)]
    assert choose(pods, 1, {}) == ("loading",)


def test_idle_pods_with_sessions_go_after_those_without_and_the_stalest_first():
    pods = _pods(4)
    pods[3] = replace(pods[3], sessions_until=900.0)
    pods[2] = replace(pods[2], sessions_until=800.0)

    assert choose(pods, 3, {}) == ("p1", "p0", "p2")
    # A request in flight is worth more than a session that may come back.
    assert choose(pods, 3, {"p0": 1}) == ("p1", "p2", "p3")


def test_of_busy_pods_the_least_busy_drains():
    assert choose(_pods(3), 1, {"p0": 2, "p1": 1, "p2": 3}) == ("p1",)


def test_ready_pods_come_back_first():
    pods = [
        PodView("loading", ready=False, draining=True, created=0),
        PodView("young", ready=True, draining=True, created=2),
        PodView("old", ready=True, draining=True, created=1),
    ]
    assert take_back(pods, 2) == ("old", "young")


@st.composite
def worlds(draw):
    size = draw(st.integers(0, 12))
    pods = []
    for i in range(size):
        draining = draw(st.booleans())
        pods.append(
            PodView(
                f"p{i}",
                ready=draw(st.booleans()),
                draining=draining,
                drained=draining and draw(st.booleans()),
                created=float(i),
            )
        )
    loads = {pod.name: draw(st.integers(0, 3)) for pod in pods}
    return pods, loads, draw(st.integers(0, 15)), draw(st.integers(0, 15))


@given(worlds())
def test_a_plan_never_removes_a_pod_that_is_not_drained(world):
    pods, loads, present, desired = world
    step = plan(desired, present, pods, loads)
    replicas = present if step.replicas is None else step.replicas
    empty = {pod.name for pod in pods if pod.drained} - set(step.undrain)
    gone = min(len(pods), present) - replicas
    assert gone <= len(empty)
    assert replicas >= min(desired, present) or present > len(pods)


@given(worlds())
def test_steps_lead_to_what_is_desired(world):
    pods, loads, present, desired = world
    for _ in range(6):
        step = plan(desired, present, pods, loads)
        marked = {pod.name for pod in pods if pod.draining} - set(step.undrain) | set(step.drain)
        pods = [
            replace(pod, draining=pod.name in marked, drained=pod.name in marked and pod.drained)
            for pod in pods
        ]
        present = present if step.replicas is None else step.replicas
        # The ReplicaSet removes the cheapest or creates what is missing; the gateway drains.
        order = sorted(pods, key=lambda pod: (pod.ready, not pod.drained, not pod.draining))
        pods = order[max(0, len(order) - present) :]
        pods += [PodView(f"n{len(pods)}-{i}", ready=True) for i in range(present - len(pods))]
        pods = [replace(pod, ready=True, drained=pod.draining) for pod in pods]
    assert present == desired
    assert len(pods) == desired


@pytest.mark.parametrize("desired", [0, 1, 3])
def test_nothing_to_do_is_nothing(desired):
    assert plan(desired, desired, _pods(desired), {}) == Plan()
