"""What a Job does next, case by case, and a whole life under faults."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st

from tidegate.workloads.jobs.indexes import format_indexes, parse_indexes
from tidegate.workloads.jobs.policy import (
    LATE,
    LIMIT,
    REACHED,
    Counts,
    JobPod,
    JobSpec,
    back_off,
    plan,
)

STARTED = Counts(started=0.0)


def pod(uid, phase="Running", **fields):
    return JobPod(uid, phase, **fields)


def test_a_new_job_starts_as_many_as_it_may():
    assert plan(JobSpec(), Counts(), [], 5.0).create == 1
    assert plan(JobSpec(), Counts(), [], 5.0).counts.started == 5.0
    assert plan(JobSpec(3, 10), STARTED, [], 5.0).create == 3
    assert plan(JobSpec(3, 2), STARTED, [], 5.0).create == 2
    assert plan(JobSpec(3, None), STARTED, [], 5.0).create == 3
    assert plan(JobSpec(3, 10), STARTED, [pod("a")], 5.0, coming=[None]).create == 1


def test_never_more_than_are_still_to_succeed():
    counts = Counts(started=0.0, succeeded=9)
    assert plan(JobSpec(3, 10), counts, [pod("a")], 5.0).create == 0
    assert plan(JobSpec(3, 10), counts, [pod("a"), pod("b")], 5.0).give_up == ("a",)


def test_a_pod_that_ended_is_seen_then_released_then_counted():
    seen = plan(JobSpec(2, 2), STARTED, [pod("a", "Succeeded", ended=3), pod("b")], 5.0)
    assert seen.counts.uncounted_succeeded == {"a"}
    assert (seen.counts.succeeded, seen.release, seen.create) == (0, ("a",), 0)
    again = plan(JobSpec(2, 2), seen.counts, [pod("a", "Succeeded", ended=3), pod("b")], 6.0)
    assert again.counts == seen.counts
    released = [pod("a", "Succeeded", ended=3, tracked=False), pod("b")]
    counted = plan(JobSpec(2, 2), seen.counts, released, 7.0)
    assert (counted.counts.succeeded, counted.counts.uncounted_succeeded) == (1, frozenset())
    assert plan(JobSpec(2, 2), counted.counts, [pod("b")], 8.0).counts.succeeded == 1


def test_a_job_is_complete_when_everything_is_counted_and_gone():
    done = [pod("a", "Succeeded", ended=3)]
    first = plan(JobSpec(), STARTED, done, 5.0)
    assert (first.counts.outcome, first.finished) == (REACHED, False)
    released = [replace(done[0], tracked=False)]
    assert plan(JobSpec(), first.counts, released, 6.0).finished


def test_a_work_queue_ends_when_one_has_succeeded_and_none_runs():
    spec = JobSpec(2, None)
    half = plan(spec, STARTED, [pod("a", "Succeeded", ended=3), pod("b")], 5.0)
    assert (half.counts.outcome, half.create, half.give_up) == (None, 0, ())
    both = [pod("a", "Succeeded", ended=3), pod("b", "Failed", ended=4)]
    assert plan(spec, STARTED, both, 5.0).counts.outcome == REACHED


@pytest.mark.parametrize(("failures", "wait"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 360)])
def test_the_back_off_doubles_up_to_six_minutes(failures, wait):
    failed = [pod(str(n), "Failed", ended=100.0 + n, tracked=False) for n in range(failures)]
    last = 100.0 + failures - 1
    assert back_off(failed, last) == wait
    assert back_off(failed, last + wait - 1) == 1
    assert back_off(failed, last + wait) == 0
    spec = JobSpec(backoff_limit=100)
    waiting = plan(spec, STARTED, failed, last + 1)
    assert (waiting.create, waiting.look_again) == (0, wait - 1)
    assert plan(spec, STARTED, failed, last + wait).create == 1


def test_a_success_ends_the_back_off():
    pods = [pod("a", "Failed", ended=10), pod("b", "Succeeded", ended=20)]
    assert back_off(pods, 21) == 0
    assert back_off([*pods, pod("c", "Failed", ended=30)], 30) == 10


def test_one_failure_more_than_the_limit_fails_the_job_and_ends_its_pods():
    spec = JobSpec(2, 5, backoff_limit=1)
    counts = Counts(started=0.0, failed=1)
    assert plan(spec, counts, [pod("a"), pod("b")], 5.0).counts.outcome is None
    over = plan(spec, counts, [pod("a", "Failed", ended=4), pod("b")], 5.0)
    assert (over.counts.outcome, over.delete, over.finished) == (LIMIT, ("b",), False)
    ending = [pod("a", "Failed", tracked=False), pod("b", deleting=True, ended=6)]
    dying = plan(spec, over.counts, ending, 6.0)
    # What is ended with the job counts as failed.
    assert dying.counts.uncounted_failed == {"b"}
    assert plan(spec, dying.counts, ending[:1], 7.0).counts.failed == 3
    assert plan(spec, dying.counts, ending[:1], 7.0).finished


@pytest.mark.parametrize(
    ("limit", "restarts", "fails"), [(0, 0, 0), (0, 1, 1), (3, 2, 0), (3, 3, 1)]
)
def test_restarts_in_place_count_against_the_limit(limit, restarts, fails):
    spec = JobSpec(backoff_limit=limit, restarts=True)
    outcome = plan(spec, STARTED, [pod("a", restarts=restarts)], 5.0).counts.outcome
    assert (outcome == LIMIT) == bool(fails)


def test_the_deadline_counts_from_the_start():
    spec = JobSpec(deadline=60.0)
    assert plan(spec, STARTED, [pod("a")], 50.0).look_again == 10
    late = plan(spec, STARTED, [pod("a")], 60.0)
    assert (late.counts.outcome, late.delete) == (LATE, ("a",))


def test_a_suspended_job_has_no_pods_and_no_time():
    spec = JobSpec(2, 4, deadline=10.0, suspended=True)
    held = plan(spec, STARTED, [pod("a"), pod("b", "Succeeded", ended=2)], 500.0)
    assert held.give_up == ("a",)
    assert (held.counts.started, held.counts.outcome, held.create) == (None, None, 0)
    resumed = plan(replace(spec, suspended=False), held.counts, [], 600.0)
    assert (resumed.counts.started, resumed.create) == (600.0, 2)


def test_given_up_pods_count_neither_way():
    given_up = [pod("a", deleting=True, tracked=False, ended=5)]
    after = plan(JobSpec(backoff_limit=0), STARTED, given_up, 5.0)
    assert (after.counts.failed, after.counts.uncounted_failed) == (0, frozenset())
    assert after.create == 1


def test_a_pod_deleted_by_somebody_has_failed():
    after = plan(JobSpec(), STARTED, [pod("a", deleting=True, ended=5)], 5.0)
    assert after.counts.uncounted_failed == {"a"}
    assert after.release == ("a",)


def test_indexes_are_filled_from_the_lowest_and_done_once():
    spec = JobSpec(3, 5, indexed=True)
    assert plan(spec, STARTED, [], 1.0).create_indexes == (0, 1, 2)
    pods = [pod("a", index=0), pod("b", "Succeeded", index=1, ended=4)]
    step = plan(spec, STARTED, pods, 5.0, coming=[3])
    assert step.create_indexes == (2,)
    assert (step.counts.completed, step.counts.succeeded) == ({1}, 1)
    twice = [pod("a", index=2, rank=(1,)), pod("b", index=2, rank=(0,)), pod("c", index=1)]
    assert set(plan(spec, step.counts, twice, 6.0).give_up) == {"b", "c"}
    everything = replace(STARTED, completed=frozenset(range(5)))
    assert plan(spec, everything, [], 9.0).counts.outcome == REACHED


def test_a_job_that_is_being_deleted_makes_and_ends_nothing():
    step = plan(JobSpec(2, 2), STARTED, [pod("a", deleting=True)], 5.0, manages=False)
    assert (step.create, step.give_up, step.delete) == (0, (), ())
    assert step.release == ("a",)


@pytest.mark.parametrize(
    ("indexes", "text"),
    [((), ""), ((3,), "3"), ((1, 2), "1,2"), ((0, 1, 2, 5, 7, 8, 9), "0-2,5,7-9")],
)
def test_indexes_are_written_as_kubernetes_does(indexes, text):
    assert format_indexes(indexes) == text


@unhurried(deadline=None)
@given(st.frozensets(st.integers(0, 60)))
def test_indexes_survive_a_round_trip(indexes):
    assert parse_indexes(format_indexes(indexes), 61) == indexes
    assert parse_indexes(format_indexes(indexes), 10) == {i for i in indexes if i < 10}


@pytest.mark.parametrize("text", ["x", "1-x", "-", "3-1", ",,", "-5"])
def test_what_is_no_set_of_indexes_is_none(text):
    assert parse_indexes(text, 10) <= {1, 3}


@unhurried(deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 4),
    st.integers(1, 8),
    st.booleans(),
    st.integers(0, 30),
)
def test_every_end_is_counted_once_whatever_is_lost(seed, parallelism, wanted, indexed, percent):
    """Pods end, fail or are deleted at random; a write of the status or a release may be lost."""
    random = Random(seed)
    spec = JobSpec(parallelism, wanted, backoff_limit=1000, indexed=indexed)
    counts, now, made = Counts(), 0.0, 0
    pods: dict[str, JobPod] = {}
    truth = {"succeeded": 0, "failed": 0}
    for _ in range(4000):
        now += 400
        step = plan(spec, counts, list(pods.values()), now)
        assert len([p for p in pods.values() if p.active]) <= parallelism
        if step.finished:
            counts = step.counts
            break
        wanted_pods = [*step.create_indexes, *[None] * step.create]
        for index in wanted_pods:
            made += 1
            pods[str(made)] = JobPod(str(made), "Running", index=index)
        for uid in (*step.give_up, *step.delete):
            pods[uid] = replace(pods[uid], deleting=True, tracked=uid in step.delete, ended=now)
        if random.random() > 0.3:  # else the status was not written: all is begun anew
            counts = step.counts
            for uid in step.release:
                if random.random() > 0.3:
                    pods[uid] = replace(pods[uid], tracked=False)
        for uid, one in list(pods.items()):
            if one.active and random.random() < 0.6:
                succeeds = random.randrange(100) >= percent
                truth["succeeded" if succeeds else "failed"] += 1
                phase = "Succeeded" if succeeds else "Failed"
                pods[uid] = replace(one, phase=phase, ended=now)
            elif not one.tracked and not one.active and random.random() < 0.3:
                del pods[uid]  # somebody cleans up what has been counted
    assert counts.outcome == REACHED
    assert counts.succeeded == truth["succeeded"] == wanted
    assert counts.failed == truth["failed"]
