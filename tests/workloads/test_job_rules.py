"""The rules on failures and on success, and what a Job makes of their verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.workloads.jobs.policy import Counts, JobPod, JobSpec, plan
from tidegate.workloads.jobs.rules import (
    Failure,
    FailureRule,
    SuccessRule,
    failure_rules,
    judge,
    satisfied,
    success_rules,
)

STARTED = Counts(started=0.0)
FATAL = FailureRule("FailJob", "In", "main", frozenset({42}))
SPARED = FailureRule("Ignore", conditions=(("DisruptionTarget", "True"),))
COUNTED = FailureRule("Count", "NotIn", "", frozenset({1, 2}))
RULES = (FATAL, SPARED, COUNTED, FailureRule("FailJob", "In", "", frozenset({1})))


def failed(*codes, conditions=()):
    return Failure("default/p", codes, frozenset(conditions))


@pytest.mark.parametrize(
    ("failure", "action", "message"),
    [
        (
            failed(("main", 42)),
            "FailJob",
            "Container main for pod default/p failed with exit code 42 matching FailJob rule at "
            "index 0",
        ),
        (
            failed(("main", 7), conditions={("DisruptionTarget", "True")}),
            "Ignore",
            "Pod default/p has condition DisruptionTarget matching Ignore rule at index 1",
        ),
        (failed(("side", 42)), "Count", "matching Count rule at index 2"),
        (
            failed(("side", 1)),
            "FailJob",
            "failed with exit code 1 matching FailJob rule at index 3",
        ),
    ],
)
def test_the_first_rule_that_matches_counts(failure, action, message):
    verdict = judge(RULES, failure)
    assert verdict.action == action
    assert message in verdict.message


def test_what_matches_no_rule_has_no_verdict():
    assert judge(RULES, failed(("main", 2))) is None
    assert judge(RULES, failed()) is None
    assert judge((SPARED,), failed(conditions={("DisruptionTarget", "False")})) is None


def test_a_fatal_failure_ends_the_job_whatever_the_limit():
    spec = JobSpec(2, 2, failure_rules=RULES)
    fatal = JobPod("a", "Failed", ended=1, failure=failed(("main", 42)))
    step = plan(spec, STARTED, [fatal, JobPod("b", "Running")], 5.0)
    assert step.counts.outcome.reason == "PodFailurePolicy"
    assert step.delete == ("b",)
    assert step.counts.uncounted_failed == {"a"}


def test_an_ignored_failure_counts_for_nothing_and_waits_for_nothing():
    spec = JobSpec(backoff_limit=0, failure_rules=RULES)
    spared = failed(conditions={("DisruptionTarget", "True")})
    pods = [JobPod("a", "Failed", ended=4, failure=spared)]
    step = plan(spec, STARTED, pods, 5.0)
    assert step.counts.uncounted_failed == frozenset()
    assert (step.counts.outcome, step.create, step.release) == (None, 1, ("a",))
    plain = plan(replace(spec, failure_rules=()), STARTED, pods, 5.0)
    assert plain.counts.outcome.reason == "BackoffLimitExceeded"


def test_a_pod_that_lingers_keeps_its_place():
    spec = JobSpec(2, 4, indexed=True)
    pods = [JobPod("a", "Running", deleting=True, lingers=True, index=0)]
    waiting = plan(spec, STARTED, pods, 5.0)
    assert (waiting.create_indexes, waiting.release) == ((1,), ())
    assert waiting.counts.uncounted_failed == frozenset()
    ended = [replace(pods[0], lingers=False, ended=1)]
    after = plan(spec, STARTED, ended, 50.0)
    assert after.create_indexes == (0, 1)
    assert (after.release, after.counts.uncounted_failed) == (("a",), {"a"})


@pytest.mark.parametrize(
    ("rule", "completed", "enough"),
    [
        (SuccessRule(frozenset({0, 1}), None), {0}, False),
        (SuccessRule(frozenset({0, 1}), None), {0, 1}, True),
        (SuccessRule(frozenset({0, 1, 2}), 1), {2}, True),
        (SuccessRule(frozenset({0, 1, 2}), 1), {5}, False),
        (SuccessRule(None, 2), {5}, False),
        (SuccessRule(None, 2), {5, 6}, True),
    ],
)
def test_enough_indexes_are_a_success(rule, completed, enough):
    never = SuccessRule(None, 100)
    assert (satisfied((never, rule), completed) == 1) == enough
    spec = JobSpec(1, 9, indexed=True, success_rules=(never, rule))
    step = plan(spec, replace(STARTED, completed=frozenset(completed)), [JobPod("a")], 5.0)
    if enough:
        assert step.counts.outcome.message == "Matched rules at index 1"
        assert step.delete == ("a",)
    else:
        assert step.counts.outcome is None


def test_rules_are_read_from_the_spec():
    spec = {
        "completions": 5,
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]},
                },
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "successPolicy": {"rules": [{"succeededIndexes": "0,2-9", "succeededCount": 2}]},
    }
    assert failure_rules(spec) == (FATAL, SPARED)
    assert success_rules(spec) == (SuccessRule(frozenset({0, 2, 3, 4}), 2),)
    assert failure_rules({}) == success_rules({}) == ()
