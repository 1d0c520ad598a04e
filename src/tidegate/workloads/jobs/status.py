"""A Job's status as the policy reads it, and what the policy decided as a status."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.kube.clock import parse_rfc3339, rfc3339
from tidegate.kube.objects import (
    Object,
    condition_of,
    conditions_of,
    is_condition_true,
    status_of,
    with_condition,
)
from tidegate.workloads.jobs.indexes import format_indexes, parse_indexes
from tidegate.workloads.jobs.policy import Counts, JobPod, JobSpec, Outcome, Plan
from tidegate.workloads.jobs.rules import failure_rules, success_rules

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
_DECIDED = (("SuccessCriteriaMet", True), ("FailureTarget", False), (COMPLETE, True))


def job_spec(job: Object) -> JobSpec:
    """What is wanted."""
    spec = job["spec"]
    completions, deadline = spec.get("completions"), spec.get("activeDeadlineSeconds")
    pod_spec: Object = spec["template"]["spec"]
    return JobSpec(
        parallelism=int(spec.get("parallelism", 1)),
        completions=None if completions is None else int(completions),
        backoff_limit=int(spec.get("backoffLimit", 6)),
        deadline=None if deadline is None else float(deadline),
        indexed=spec.get("completionMode") == "Indexed",
        suspended=bool(spec.get("suspend")),
        restarts=pod_spec.get("restartPolicy") == "OnFailure",
        failure_rules=failure_rules(spec),
        success_rules=success_rules(spec),
        index_limit=spec.get("backoffLimitPerIndex"),
        max_failed_indexes=spec.get("maxFailedIndexes"),
    )


def counts_of(job: Object) -> Counts:
    """What the status says."""
    spec, status = job["spec"], status_of(job)
    uncounted: Object = status.get("uncountedTerminatedPods") or {}
    started = status.get("startTime")
    completions = int(spec.get("completions") or 0)
    return Counts(
        started=parse_rfc3339(str(started)) if started else None,
        succeeded=int(status.get("succeeded") or 0),
        failed=int(status.get("failed") or 0),
        uncounted_succeeded=frozenset(uncounted.get("succeeded") or ()),
        uncounted_failed=frozenset(uncounted.get("failed") or ()),
        completed=parse_indexes(str(status.get("completedIndexes") or ""), completions),
        failed_indexes=parse_indexes(str(status.get("failedIndexes") or ""), completions),
        outcome=_outcome(job),
    )


def finished_at(job: Object) -> float | None:
    """Epoch seconds at which the job was over; None while it is not."""
    for kind in (COMPLETE, FAILED):
        condition = condition_of(job, kind)
        if condition is not None and condition.get("status") == "True":
            # Others may have written the condition, and left the time out.
            times = (condition.get("lastTransitionTime"), job["metadata"]["creationTimestamp"])
            return parse_rfc3339(str(times[0] or times[1]))
    return None


def status_for(
    job: Object, plan: Plan, pods: Sequence[JobPod], *, created: int, now: float
) -> Object:
    """The whole status after a step of the plan.

    Args:
        job: whose conditions go on.
        plan: what was decided.
        pods: as the plan has seen them.
        created: pods made since.
        now: epoch seconds.
    """
    counts, spec = plan.counts, job_spec(job)
    gone = {*plan.give_up, *plan.delete}
    active = [pod for pod in pods if pod.active and pod.uid not in gone]
    terminating = [pod for pod in pods if pod.deleting and pod.phase in ("Pending", "Running")]
    uncounted = {
        name: sorted(uids)
        for name, uids in (
            ("succeeded", counts.uncounted_succeeded),
            ("failed", counts.uncounted_failed),
        )
        if uids
    }
    numbers = {
        "active": len(active) + created,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
    }
    status: Object = {
        **{name: number for name, number in numbers.items() if number},
        "ready": sum(pod.ready for pod in active),
        "terminating": len(terminating),
        "uncountedTerminatedPods": uncounted,
    }
    if counts.started is not None:
        status["startTime"] = rfc3339(counts.started)
    if counts.completed:
        status["completedIndexes"] = format_indexes(counts.completed)
    if spec.index_limit is not None:
        status["failedIndexes"] = format_indexes(counts.failed_indexes)
    conditions = _conditions(job, spec, plan, rfc3339(now))
    if conditions:
        status["conditions"] = conditions
    if plan.finished and counts.outcome is not None and counts.outcome.success:
        status["completionTime"] = status_of(job).get("completionTime") or rfc3339(now)
    return status


def _outcome(job: Object) -> Outcome | None:
    for kind, success in (*_DECIDED, (FAILED, False)):
        condition = condition_of(job, kind)
        if condition is not None and condition.get("status") == "True":
            reason, message = condition.get("reason"), condition.get("message")
            return Outcome(success, str(reason or ""), str(message or ""))
    return None


def _conditions(job: Object, spec: JobSpec, plan: Plan, now: str) -> list[Object]:
    conditions = conditions_of(job)
    outcome = plan.counts.outcome
    if outcome is None:
        return _suspension(job, spec, conditions, now)
    kinds = ["SuccessCriteriaMet" if outcome.success else "FailureTarget"]
    if plan.finished:
        kinds.append(COMPLETE if outcome.success else FAILED)
    for kind in kinds:
        condition = {"type": kind, "reason": outcome.reason, "message": outcome.message}
        conditions = _put(conditions, condition, True, now)
    return conditions


def _suspension(job: Object, spec: JobSpec, conditions: list[Object], now: str) -> list[Object]:
    if spec.suspended:
        word, reason = "Job suspended", "JobSuspended"
    elif is_condition_true(job, SUSPENDED):
        word, reason = "Job resumed", "JobResumed"
    else:
        return conditions
    condition = {"type": SUSPENDED, "reason": reason, "message": word}
    return _put(conditions, condition, spec.suspended, now)


def _put(conditions: list[Object], condition: Object, holds: bool, now: str) -> list[Object]:
    status = "True" if holds else "False"
    known = [c for c in conditions if (c["type"], c["status"]) == (condition["type"], status)]
    probed = known[0].get("lastProbeTime", now) if known else now
    new = {**condition, "status": status, "lastProbeTime": probed}
    return with_condition(conditions, new, now=now)
