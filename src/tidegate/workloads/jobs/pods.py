"""The pods of Jobs: what the policy must know of them, and new ones."""

from __future__ import annotations

from typing import cast

from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.objects import (
    Object,
    annotations_of,
    conditions_of,
    is_deleting,
    key_of,
    name_of,
    status_of,
    uid_of,
)
from tidegate.workloads.jobs.index_failures import IndexFailure
from tidegate.workloads.jobs.policy import JobPod
from tidegate.workloads.jobs.rules import Failure
from tidegate.workloads.pods import (
    is_finished,
    is_ready,
    phase_of,
    pod_from_template,
    random_suffix,
    scale_down_rank,
)

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
_MAX_BASE_LENGTH = 51


def job_pod(pod: Object, *, replaced_when_ended: bool = False) -> JobPod:
    """A pod as the policy sees it.

    Args:
        pod: of the job.
        replaced_when_ended: one that is being deleted keeps its place until it has ended.
    """
    ends_in = pod["metadata"].get("deletionGracePeriodSeconds") or 0
    statuses = cast("list[Object]", status_of(pod).get("containerStatuses") or [])
    return JobPod(
        uid=uid_of(pod),
        phase=phase_of(pod),
        deleting=is_deleting(pod),
        lingers=replaced_when_ended and is_deleting(pod) and ends_in > 0 and not is_finished(pod),
        tracked=is_tracked(pod),
        index=index_of(pod),
        ready=is_ready(pod),
        ended=_ended(pod, statuses),
        restarts=sum(int(status.get("restartCount") or 0) for status in statuses),
        rank=tuple(float(part) for part in scale_down_rank(pod)),
        index_failures=_number(pod, FAILURES),
        index_ignored=_number(pod, IGNORED),
        failure=_failure(pod, statuses) if phase_of(pod) == "Failed" else Failure(),
    )


def is_tracked(pod: Object) -> bool:
    """Whether the pod is still to be counted."""
    return FINALIZER in finalizers_of(pod)


def finalizers_of(pod: Object) -> list[str]:
    return cast("list[str]", pod["metadata"].get("finalizers") or [])


def index_of(pod: Object) -> int | None:
    """The pod's completion index; None for one that has none."""
    return _number(pod, INDEX) if INDEX in annotations_of(pod) else None


def new_pod(job: Object, index: int | None, last: IndexFailure | None = None) -> Object:
    """The next pod of a job, with its index where it has one, and the last failure of that."""
    pod = pod_from_template(job)
    metadata: Object = pod["metadata"]
    metadata["finalizers"] = [*finalizers_of(pod), FINALIZER]
    if index is None:
        return pod
    base = f"{name_of(job)[:_MAX_BASE_LENGTH]}-{index}"
    metadata["name"] = f"{base}-{random_suffix()}"
    metadata["generateName"] = f"{base}-"
    annotations: Object = metadata.setdefault("annotations", {})
    annotations[INDEX] = str(index)
    if job["spec"].get("backoffLimitPerIndex") is not None:
        annotations[FAILURES] = str(last.counted if last else 0)
        if last is not None and last.ignored:
            annotations[IGNORED] = str(last.ignored)
    metadata.setdefault("labels", {})[INDEX] = str(index)
    spec: Object = pod["spec"]
    spec.setdefault("hostname", base)
    for kind in ("initContainers", "containers"):
        for container in cast("list[Object]", spec.get(kind) or []):
            _add_index(container)
    return pod


def _number(pod: Object, annotation: str) -> int:
    text = annotations_of(pod).get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _failure(pod: Object, statuses: list[Object]) -> Failure:
    codes: list[tuple[str, int]] = []
    init = cast("list[Object]", status_of(pod).get("initContainerStatuses") or [])
    for status in (*statuses, *init):
        state: Object = status.get("state") or {}
        terminated: Object = state.get("terminated") or {}
        if terminated.get("exitCode"):
            codes.append((str(status["name"]), int(terminated["exitCode"])))
    conditions = frozenset((str(c["type"]), str(c["status"])) for c in conditions_of(pod))
    return Failure(str(key_of(pod)), tuple(codes), conditions)


def _add_index(container: Object) -> None:
    variables = cast("list[Object]", container.setdefault("env", []))
    if all(variable.get("name") != INDEX_VARIABLE for variable in variables):
        field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{INDEX}']"}
        variables.append({"name": INDEX_VARIABLE, "valueFrom": {"fieldRef": field}})


def _ended(pod: Object, statuses: list[Object]) -> float:
    times: list[object] = [pod["metadata"].get("deletionTimestamp")]
    for status in statuses:
        state: Object = status.get("state") or {}
        terminated: Object = state.get("terminated") or {}
        times.append(terminated.get("finishedAt"))
    known = [parse_rfc3339(str(time)) for time in times if time]
    created = str(pod["metadata"].get("creationTimestamp") or "")
    return max(known) if known else (parse_rfc3339(created) if created else 0.0)
