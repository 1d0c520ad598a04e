"""Deployments, ReplicaSets and Jobs in tables."""

from __future__ import annotations

from tidegate.apiserver.tables.ages import human_duration
from tidegate.apiserver.tables.columns import AGE, NAME, Cell, Column, Layout, wide
from tidegate.apiserver.tables.common import age_of, containers_and_images, format_selector, part
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.objects import Object, is_condition_true, is_deleting, name_of

_TEMPLATE_COLUMNS = (
    wide("Containers", description="Names of the containers in the template."),
    wide("Images", description="Images of the containers in the template."),
    wide("Selector", description="Which pods are meant."),
)


def _template_cells(obj: Object) -> list[Cell]:
    spec = part(obj, "spec")
    return [*containers_and_images(part(spec, "template")), format_selector(spec.get("selector"))]


def _deployment(obj: Object, now: float) -> list[Cell]:
    spec, status = part(obj, "spec"), part(obj, "status")
    return [
        name_of(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age_of(obj, now),
        *_template_cells(obj),
    ]


def _replica_set(obj: Object, now: float) -> list[Cell]:
    spec, status = part(obj, "spec"), part(obj, "status")
    return [
        name_of(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age_of(obj, now),
        *_template_cells(obj),
    ]


def _scale(obj: Object, now: float) -> list[Cell]:
    spec, status = part(obj, "spec"), part(obj, "status")
    return [
        name_of(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        age_of(obj, now),
    ]


def _job(obj: Object, now: float) -> list[Cell]:
    return [
        name_of(obj),
        _job_status(obj),
        _job_completions(obj),
        _job_duration(obj, now),
        age_of(obj, now),
        *_template_cells(obj),
    ]


def _job_status(obj: Object) -> str:
    for condition, word in (
        ("Complete", "Complete"),
        ("Failed", "Failed"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
        ("FailureTarget", "FailureTarget"),
    ):
        if is_condition_true(obj, condition):
            return word
    if is_deleting(obj):
        return "Terminating"
    return "Suspended" if is_condition_true(obj, "Suspended") else "Running"


def _job_completions(obj: Object) -> str:
    spec, succeeded = part(obj, "spec"), part(obj, "status").get("succeeded", 0)
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(obj: Object, now: float) -> str:
    status = part(obj, "status")
    if not status.get("startTime"):
        return ""
    end = status.get("completionTime")
    return human_duration((parse_rfc3339(end) if end else now) - parse_rfc3339(status["startTime"]))


DEPLOYMENTS = Layout(
    (
        NAME,
        Column("Ready", description="Ready pods of those wanted."),
        Column("Up-to-date", description="Pods made from the current template."),
        Column("Available", description="Pods ready for long enough."),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    _deployment,
)

SCALES = Layout(
    (NAME, Column("Desired", "integer"), Column("Available", "integer"), AGE),
    _scale,
)

REPLICA_SETS = Layout(
    (
        NAME,
        Column("Desired", "integer"),
        Column("Current", "integer"),
        Column("Ready", "integer"),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    _replica_set,
)

JOBS = Layout(
    (
        NAME,
        Column("Status"),
        Column("Completions"),
        Column("Duration"),
        AGE,
        *_TEMPLATE_COLUMNS,
    ),
    _job,
)
