"""What a Deployment reports of its rollout: counts and conditions, as `kubectl rollout` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.kube.clock import parse_rfc3339, rfc3339
from tidegate.kube.objects import (
    Object,
    condition_of,
    conditions_of,
    name_of,
    status_of,
    with_condition,
)
from tidegate.workloads.deployments.revisions import replicas_of
from tidegate.workloads.deployments.rollout import Strategy


@dataclass(frozen=True)
class Counts:
    """Pods over all ReplicaSets, and those of the new one."""

    replicas: int
    updated: int
    ready: int
    available: int
    unavailable: int

    def to_status(self) -> Object:
        return {
            "replicas": self.replicas,
            "updatedReplicas": self.updated,
            "readyReplicas": self.ready,
            "availableReplicas": self.available,
            "unavailableReplicas": self.unavailable,
        }


@dataclass(frozen=True)
class Progress:
    """The rollout as one reconcile left it.

    Attributes:
        new: the ReplicaSet of the present template, if it exists.
        old: the others.
        created: whether this reconcile created `new`.
        paused: whether the user has paused the rollout.
    """

    new: Object | None
    old: Sequence[Object]
    created: bool = False
    paused: bool = False


def count(progress: Progress) -> Counts:
    """Sum up the ReplicaSets' statuses."""
    sets = [*progress.old, *([progress.new] if progress.new is not None else [])]
    available = _sum(sets, "availableReplicas")
    wanted = sum(replicas_of(rs).wanted for rs in sets)
    return Counts(
        replicas=_sum(sets, "replicas"),
        updated=_sum([progress.new] if progress.new is not None else [], "replicas"),
        ready=_sum(sets, "readyReplicas"),
        available=available,
        unavailable=max(0, wanted - available),
    )


def status_for(deployment: Object, strategy: Strategy, progress: Progress, *, now: float) -> Object:
    """The whole status for the Deployment as seen."""
    counts = count(progress)
    previous = status_of(deployment)
    status: Object = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        **counts.to_status(),
        "conditions": _conditions(deployment, strategy, progress, counts, now),
    }
    if previous.get("collisionCount"):
        status["collisionCount"] = previous["collisionCount"]
    return status


def is_complete(strategy: Strategy, counts: Counts) -> bool:
    """Whether every pod is of the new template and available, and no old one is left."""
    return (
        counts.updated == strategy.replicas
        and counts.replicas == strategy.replicas
        and counts.available == strategy.replicas
    )


def deadline_in(deployment: Object, status: Object, *, now: float) -> float | None:
    """Seconds until the progress deadline; None when the rollout is over or has none."""
    progressing = condition_of({"metadata": {}, "status": status}, "Progressing")
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    if progressing is None or deadline is None or deployment["spec"].get("paused"):
        return None
    if progressing["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return None
    # A timestamp has whole seconds: one more makes sure that the deadline has passed.
    return max(0.0, _updated(progressing) + int(deadline) + 1 - now)


def _conditions(
    deployment: Object, strategy: Strategy, progress: Progress, counts: Counts, now: float
) -> list[Object]:
    conditions = _with(conditions_of(deployment), _available(strategy, counts), now)
    progressing = _progressing(deployment, strategy, progress, counts, now)
    if progressing is not None:
        conditions = _with(conditions, progressing, now)
    failure = _replica_failure(progress)
    conditions = [c for c in conditions if c["type"] != "ReplicaFailure" or failure is not None]
    return _with(conditions, failure, now) if failure is not None else conditions


def _available(strategy: Strategy, counts: Counts) -> Object:
    if counts.available >= strategy.min_available:
        return _condition(
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    return _condition(
        "Available",
        "False",
        "MinimumReplicasUnavailable",
        "Deployment does not have minimum availability.",
    )


def _progressing(
    deployment: Object, strategy: Strategy, progress: Progress, counts: Counts, now: float
) -> Object | None:
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    known = condition_of(deployment, "Progressing")
    if progress.paused:
        return _condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    if deadline is None:
        return None
    new_name = name_of(progress.new) if progress.new is not None else ""
    if progress.created:
        return _condition(
            "Progressing",
            "True",
            "NewReplicaSetCreated",
            f'Created new replica set "{new_name}"',
        )
    if known is not None and known["reason"] == "DeploymentPaused":
        return _condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    if is_complete(strategy, counts):
        return _condition(
            "Progressing",
            "True",
            "NewReplicaSetAvailable",
            f'ReplicaSet "{new_name}" has successfully progressed.',
        )
    finished = known is not None and known["reason"] == "NewReplicaSetAvailable"
    if known is not None and finished and counts.updated == counts.replicas:
        return known  # only scaled since, which is no rollout
    if known is None or _has_progressed(deployment, counts):
        return {
            **_condition(
                "Progressing",
                "True",
                "ReplicaSetUpdated",
                f'ReplicaSet "{new_name}" is progressing.',
            ),
            "lastUpdateTime": rfc3339(now),
        }
    if not finished and now > _updated(known) + int(deadline):
        return _condition(
            "Progressing",
            "False",
            "ProgressDeadlineExceeded",
            f'ReplicaSet "{new_name}" has timed out progressing.',
        )
    return known


def _has_progressed(deployment: Object, counts: Counts) -> bool:
    status = status_of(deployment)
    updated = int(status.get("updatedReplicas") or 0)
    old = int(status.get("replicas") or 0) - updated
    return (
        counts.updated > updated
        or counts.replicas - counts.updated < old
        or counts.ready > int(status.get("readyReplicas") or 0)
        or counts.available > int(status.get("availableReplicas") or 0)
    )


def _replica_failure(progress: Progress) -> Object | None:
    sets = [*([progress.new] if progress.new is not None else []), *progress.old]
    for replica_set in sets:
        failure = condition_of(replica_set, "ReplicaFailure")
        if failure is not None:
            return _condition(
                "ReplicaFailure",
                failure["status"],
                str(failure.get("reason", "")),
                str(failure.get("message", "")),
            )
    return None


def _with(conditions: Sequence[Object], new: Object, now: float) -> list[Object]:
    """Put `new` in; its `lastUpdateTime` moves when anything in it changed."""
    known = next((c for c in conditions if c["type"] == new["type"]), None)
    unchanged = known is not None and all(
        known.get(field) == new.get(field) for field in ("status", "reason", "message")
    )
    moved = new.get("lastUpdateTime") or rfc3339(now)
    updated = known.get("lastUpdateTime", moved) if known is not None and unchanged else moved
    if "lastUpdateTime" in new:
        updated = new["lastUpdateTime"]
    return with_condition(conditions, {**new, "lastUpdateTime": updated}, now=rfc3339(now))


def _condition(kind: str, status: str, reason: str, message: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _updated(condition: Object) -> float:
    return parse_rfc3339(str(condition.get("lastUpdateTime") or "1970-01-01T00:00:00Z"))


def _sum(sets: Sequence[Object], field: str) -> int:
    return sum(int(status_of(rs).get(field) or 0) for rs in sets)
