"""What a Job does next: a pure function of its spec, its status, its pods and the time.

A pod that has ended is counted exactly once, whatever is lost between: it carries a finalizer
until its uid stands in the status (`uncounted`), and becomes a number when the finalizer is gone.
The indexes of an Indexed job need no such step, for a set cannot count twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.workloads.jobs.index_failures import (
    IndexFailure,
    back_off_delay,
    failed_indexes,
    last_failures,
    wait_of,
)
from tidegate.workloads.jobs.rules import (
    FAIL_INDEX,
    FAIL_JOB,
    IGNORE,
    Failure,
    FailureRule,
    SuccessRule,
    judge,
    satisfied,
)


@dataclass(frozen=True)
class JobSpec:
    """What is wanted.

    Attributes:
        completions: pods that must succeed; None ends the job when one has and none runs.
        backoff_limit: failures that are tried again.
        index_limit: of each index; None for no limit of its own.
        max_failed_indexes: more end the job at once; None for any number.
        deadline: seconds from the start; None for none.
        indexed: each completion has an index.
        restarts: failed containers start again in their pods (`OnFailure`).
        failure_rules: which failures end the job or do not count.
        success_rules: which indexes are enough.
    """

    parallelism: int = 1
    completions: int | None = 1
    backoff_limit: int = 6
    deadline: float | None = None
    indexed: bool = False
    suspended: bool = False
    restarts: bool = False
    failure_rules: tuple[FailureRule, ...] = ()
    success_rules: tuple[SuccessRule, ...] = ()
    index_limit: int | None = None
    max_failed_indexes: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ends."""

    success: bool
    reason: str
    message: str


REACHED = Outcome(True, "CompletionsReached", "Reached expected number of succeeded pods")
LIMIT = Outcome(False, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
FAILED_INDEXES = Outcome(False, "FailedIndexes", "Job has failed indexes")
TOO_MANY_FAILED = Outcome(
    False,
    "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
)
LATE = Outcome(False, "DeadlineExceeded", "Job was active longer than specified deadline")


@dataclass(frozen=True)
class Counts:
    """What the status says.

    Attributes:
        started: epoch seconds; None before, and while suspended.
        succeeded, failed: pods counted; of an Indexed job `completed` counts instead of succeeded.
        uncounted_succeeded, uncounted_failed: uids of pods seen to have ended.
        completed: indexes that have succeeded.
        failed_indexes: those that are not tried again.
        outcome: decided already.
    """

    started: float | None = None
    succeeded: int = 0
    failed: int = 0
    uncounted_succeeded: frozenset[str] = frozenset()
    uncounted_failed: frozenset[str] = frozenset()
    completed: frozenset[int] = frozenset()
    failed_indexes: frozenset[int] = frozenset()
    outcome: Outcome | None = None


@dataclass(frozen=True)
class JobPod:
    """A pod of the job.

    Attributes:
        phase: `Pending`, `Running`, `Succeeded` or `Failed`.
        deleting: it is being deleted.
        lingers: it is being deleted, and another may only come when it has ended.
        tracked: it has the finalizer.
        index: its completion index.
        ended: epoch seconds, of one that has ended or is being deleted.
        restarts: of all its containers.
        rank: those of low rank go first.
        failure: how it has failed, if it has.
        index_failures, index_ignored: failures of its index before it that count, and that do not.
    """

    uid: str
    phase: str = "Pending"
    deleting: bool = False
    lingers: bool = False
    tracked: bool = True
    index: int | None = None
    ready: bool = False
    ended: float = 0.0
    restarts: int = 0
    rank: tuple[float, ...] = ()
    failure: Failure = field(default_factory=Failure)
    index_failures: int = 0
    index_ignored: int = 0

    @property
    def succeeded(self) -> bool:
        return self.phase == "Succeeded"

    @property
    def failed(self) -> bool:
        """One that is being deleted before it has succeeded has failed."""
        if self.phase == "Failed":
            return True
        return self.deleting and not self.lingers and not self.succeeded

    @property
    def over(self) -> bool:
        return self.succeeded or self.failed

    @property
    def active(self) -> bool:
        return not self.over and not self.deleting


@dataclass(frozen=True)
class Plan:
    """What to do now, in this order.

    Attributes:
        create: how many pods, of an Indexed job the indexes of `create_indexes`.
        give_up: uids of pods that are not needed any more; they count neither way.
        delete: uids of pods that end with the job; they count as failed.
        counts: for the status.
        finished: nothing is left to be counted or ended: the outcome is final.
        index_failures: the last failures of indexes in `create_indexes`.
        release: uids of pods that may lose the finalizer once the status is written.
        look_again: seconds after which time alone changes the plan.
    """

    counts: Counts
    create: int = 0
    create_indexes: tuple[int, ...] = ()
    index_failures: Mapping[int, IndexFailure] = field(default_factory=dict[int, IndexFailure])
    give_up: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    finished: bool = False
    release: tuple[str, ...] = ()
    look_again: float | None = None


@dataclass(frozen=True)
class _Tally:
    counts: Counts
    succeeded: int
    failed: int
    active: list[JobPod] = field(default_factory=list[JobPod])
    lingering: list[JobPod] = field(default_factory=list[JobPod])
    last: dict[int, IndexFailure] = field(default_factory=dict[int, IndexFailure])


def plan(
    spec: JobSpec,
    counts: Counts,
    pods: Sequence[JobPod],
    now: float,
    *,
    coming: Collection[int | None] = (),
    manages: bool = True,
) -> Plan:
    """The next step.

    Args:
        spec: what is wanted.
        counts: of the status.
        pods: all pods of the job that are there.
        now: epoch seconds.
        coming: one item for each pod created and not seen yet: its index, or None.
        manages: whether pods may be made and ended; not for a job that is being deleted.
    """
    tally = _tally(spec, counts, pods)
    counts, active = tally.counts, tally.active
    if not spec.suspended and counts.started is None and counts.outcome is None:
        counts = replace(counts, started=now)
    outcome = counts.outcome or _outcome(spec, counts, tally, pods, now)
    release = tuple(pod.uid for pod in pods if pod.tracked and pod.over)
    if outcome is not None:
        uncounted = counts.uncounted_succeeded or counts.uncounted_failed
        left = active or coming or uncounted or any(pod.tracked or pod.deleting for pod in pods)
        return Plan(
            replace(counts, outcome=outcome),
            delete=tuple(pod.uid for pod in active) if manages else (),
            finished=not left,
            release=release,
        )
    if manages:
        needed = _still_needed(counts, tally, pods)
        release = tuple(uid for uid in release if uid not in needed)
    if spec.suspended:
        gone = tuple(pod.uid for pod in active) if manages else ()
        return Plan(replace(counts, started=None), give_up=gone, release=release)
    deadline = None
    if spec.deadline is not None and counts.started is not None:
        deadline = counts.started + spec.deadline - now
    if not manages:
        return Plan(counts, release=release, look_again=deadline)
    step = _manage(spec, counts, tally, coming, now)
    tried = [pod for pod in pods if not _is_ignored(spec, pod)]
    wait = back_off(tried, now) if spec.index_limit is None else 0.0
    if (step.create or step.create_indexes) and wait > 0:
        step = Plan(counts, give_up=step.give_up, look_again=wait)
    looks = [look for look in (step.look_again, deadline) if look is not None]
    return Plan(
        counts,
        create=step.create,
        create_indexes=step.create_indexes,
        index_failures=tally.last,
        give_up=step.give_up,
        release=release,
        look_again=min(looks, default=None),
    )


def back_off(pods: Iterable[JobPod], now: float) -> float:
    """Seconds until another pod may follow those that have failed since the last success.

    10 seconds after the first failure, twice as long after each further one, six minutes at most.
    """
    everyone = list(pods)
    last_success = max((pod.ended for pod in everyone if pod.succeeded), default=0.0)
    # One that the job itself has given up has lost its finalizer and did not fail.
    failed = (pod for pod in everyone if pod.phase == "Failed" or (pod.tracked and pod.failed))
    failures = [pod.ended for pod in failed if pod.ended > last_success]
    if not failures:
        return 0.0
    return max(0.0, max(failures) + back_off_delay(len(failures)) - now)


def _tally(spec: JobSpec, counts: Counts, pods: Sequence[JobPod]) -> _Tally:
    """Move the pods that have ended one step on: seen, then written down, then counted."""
    tracked = {pod.uid for pod in pods if pod.tracked}
    succeeded = {pod.uid for pod in pods if pod.tracked and pod.succeeded}
    failed = {pod.uid for pod in pods if pod.tracked and pod.failed and not _is_ignored(spec, pod)}
    if spec.indexed:
        reached = {pod.index for pod in pods if pod.tracked and pod.succeeded}
        completed = counts.completed | {
            index for index in reached if index is not None and 0 <= index < (spec.completions or 0)
        }
        counts = replace(counts, completed=frozenset(completed), succeeded=len(completed))
        succeeded = set[str]()
    failures = _failures_of_indexes(spec, pods)
    if spec.index_limit is not None:
        hopeless = counts.failed_indexes | failed_indexes(failures, spec.index_limit)
        counts = replace(counts, failed_indexes=hopeless - counts.completed)
    done_succeeded = counts.uncounted_succeeded - tracked
    done_failed = counts.uncounted_failed - tracked
    counts = replace(
        counts,
        succeeded=counts.succeeded + len(done_succeeded),
        failed=counts.failed + len(done_failed),
        uncounted_succeeded=(counts.uncounted_succeeded - done_succeeded) | succeeded,
        uncounted_failed=(counts.uncounted_failed - done_failed) | failed,
    )
    return _Tally(
        counts,
        counts.succeeded + len(counts.uncounted_succeeded),
        counts.failed + len(counts.uncounted_failed),
        [pod for pod in pods if pod.active],
        [pod for pod in pods if not pod.over and not pod.active],
        last_failures(failures),
    )


def _failures_of_indexes(spec: JobSpec, pods: Sequence[JobPod]) -> list[IndexFailure]:
    """The failed pods of a job whose indexes have a limit each."""
    failures: list[IndexFailure] = []
    for pod in pods if spec.index_limit is not None else ():
        failed = pod.phase == "Failed" or (pod.tracked and pod.failed)
        if not failed or pod.index is None or not 0 <= pod.index < (spec.completions or 0):
            continue
        failures.append(
            IndexFailure(
                pod.uid,
                pod.index,
                pod.index_failures,
                pod.index_ignored,
                pod.ended,
                counts=not _is_ignored(spec, pod),
                final=_action(spec, pod) == FAIL_INDEX,
            )
        )
    return failures


def _still_needed(counts: Counts, tally: _Tally, pods: Sequence[JobPod]) -> set[str]:
    """Failed pods that alone know how often their index has failed."""
    followed = {pod.index for pod in pods if not pod.over}
    over = counts.completed | counts.failed_indexes | followed
    return {failure.uid for index, failure in tally.last.items() if index not in over}


def _is_ignored(spec: JobSpec, pod: JobPod) -> bool:
    return _action(spec, pod) == IGNORE


def _action(spec: JobSpec, pod: JobPod) -> str:
    """What the rules make of a failed pod; empty where none matches."""
    if pod.phase != "Failed" or not spec.failure_rules:
        return ""
    verdict = judge(spec.failure_rules, pod.failure)
    return verdict.action if verdict is not None else ""


def _fatal(spec: JobSpec, pods: Sequence[JobPod]) -> Outcome | None:
    """The end by a failure that no other try can mend."""
    for pod in pods:
        if spec.failure_rules and pod.tracked and pod.phase == "Failed":
            verdict = judge(spec.failure_rules, pod.failure)
            if verdict is not None and verdict.action == FAIL_JOB:
                return Outcome(False, "PodFailurePolicy", verdict.message)
    return None


def _outcome(
    spec: JobSpec, counts: Counts, tally: _Tally, pods: Sequence[JobPod], now: float
) -> Outcome | None:
    fatal = _fatal(spec, pods)
    if fatal is not None:
        return fatal
    restarts = sum(pod.restarts for pod in tally.active) if spec.restarts else 0
    if tally.failed > spec.backoff_limit or restarts >= max(spec.backoff_limit, 1):
        return LIMIT
    if (
        not spec.suspended
        and spec.deadline is not None
        and counts.started is not None
        and now - counts.started >= spec.deadline
    ):
        return LATE
    hopeless, completions = len(counts.failed_indexes), spec.completions or 0
    if spec.max_failed_indexes is not None and hopeless > spec.max_failed_indexes:
        return TOO_MANY_FAILED
    if hopeless and hopeless + tally.succeeded >= completions:
        return FAILED_INDEXES
    rule = satisfied(spec.success_rules, counts.completed)
    if rule is not None:
        return Outcome(True, "SuccessPolicy", f"Matched rules at index {rule}")
    if spec.completions is None:
        return REACHED if tally.succeeded and not tally.active else None
    return REACHED if tally.succeeded >= spec.completions else None


def _manage(
    spec: JobSpec, counts: Counts, tally: _Tally, coming: Collection[int | None], now: float
) -> Plan:
    """Bring the number of active pods to what is wanted."""
    active = tally.active
    surplus = _unwanted(spec, counts, active)
    kept = [pod for pod in active if pod.uid not in surplus]
    present = len(kept) + len(tally.lingering) + len(coming)
    wanted = _wanted(spec, tally)
    if wanted is None:
        return Plan(counts, give_up=tuple(surplus))
    if present > wanted:
        # Those that linger go by themselves.
        spare = present - len(tally.lingering) - wanted
        chosen = sorted(kept, key=lambda pod: pod.rank)[: max(0, spare)]
        return Plan(counts, give_up=(*surplus, *(pod.uid for pod in chosen)))
    if not spec.indexed:
        return Plan(counts, create=wanted - present, give_up=tuple(surplus))
    there = (*kept, *tally.lingering)
    taken = {pod.index for pod in there} | set(coming) | counts.completed | counts.failed_indexes
    waits = {index: wait_of(failure, now) for index, failure in tally.last.items()}
    waits = {index: wait for index, wait in waits.items() if wait > 0 and index not in taken}
    taken |= waits.keys()
    free = (index for index in range(spec.completions or 0) if index not in taken)
    indexes = tuple(index for _, index in zip(range(wanted - present), free, strict=False))
    soonest = min(waits.values(), default=None)
    return Plan(counts, create_indexes=indexes, give_up=tuple(surplus), look_again=soonest)


def _wanted(spec: JobSpec, tally: _Tally) -> int | None:
    """How many pods to have active; None for as many as there are."""
    if spec.completions is None:
        # A work queue: when one has succeeded, the others know that the queue is empty.
        return None if tally.succeeded else spec.parallelism
    left = spec.completions - tally.succeeded - len(tally.counts.failed_indexes)
    return min(spec.parallelism, max(0, left))


def _unwanted(spec: JobSpec, counts: Counts, active: Sequence[JobPod]) -> list[str]:
    """Active pods of an Indexed job whose index is done, taken twice or none."""
    if not spec.indexed:
        return []
    taken = set(counts.completed)
    unwanted: list[str] = []
    for pod in sorted(active, key=lambda pod: pod.rank, reverse=True):
        if pod.index is None or pod.index in taken or pod.index >= (spec.completions or 0):
            unwanted.append(pod.uid)
        else:
            taken.add(pod.index)
    return unwanted
