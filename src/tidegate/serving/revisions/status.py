"""What a Revision says of itself, as a pure function of what it owns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.apis.fields import items, part
from tidegate.kube.objects import Object, condition_of, name_of
from tidegate.serving.conditions import (
    TRUE,
    Verdict,
    false,
    unknown,
    verdict_of,
)

RESOURCES_AVAILABLE = "ResourcesAvailable"
CONTAINER_HEALTHY = "ContainerHealthy"
ACTIVE = "Active"

_DEPLOYING = unknown("Deploying")
# Waiting reasons that will not pass by themselves soon; a first failed pull may.
_STUCK_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


@dataclass(frozen=True)
class Observed:
    """What the conditions of a Revision depend on.

    Attributes:
        deployment: its Deployment.
        pod_autoscaler: its PodAutoscaler.
        pods: its pods.
        ignore_unschedulable: pods that no node takes yet are no failure.
        previous: the verdicts of the last time, by condition.
    """

    deployment: Object
    pod_autoscaler: Object
    pods: tuple[Object, ...]
    ignore_unschedulable: bool = False
    previous: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])


def verdicts(observed: Observed) -> dict[str, Verdict]:
    """The three conditions of a Revision besides Ready."""
    initialized = verdict_of(observed.pod_autoscaler, "ScaleTargetInitialized").status == "True"
    resources = TRUE if initialized else _never_ready(observed, RESOURCES_AVAILABLE)
    container = TRUE if initialized else _never_ready(observed, CONTAINER_HEALTHY)
    if _has_no_available_pod(observed.deployment):
        resources = _resource_failure(observed) or resources
        container = _container_failure(observed.pods) or container
    return {
        RESOURCES_AVAILABLE: resources,
        CONTAINER_HEALTHY: container,
        ACTIVE: _active(observed.pod_autoscaler),
    }


def replica_counts(pod_autoscaler: Object) -> dict[str, int]:
    """`actualReplicas` and `desiredReplicas`, where the autoscaler has said them."""
    status = part(pod_autoscaler, "status")
    counts = {
        "actualReplicas": status.get("actualScale"),
        "desiredReplicas": status.get("desiredScale"),
    }
    return {name: value for name, value in counts.items() if isinstance(value, int) and value >= 0}


def container_digests(revision: Object, pods: tuple[Object, ...], kind: str) -> list[Object]:
    """The exact image of each container: as the spec pins it, or as its first pod reported it.

    Args:
        kind: `containers` or `initContainers`.
    """
    status_field = "containerStatuses" if kind == "containers" else "initContainerStatuses"
    reported = {
        str(known.get("name")): str(known["imageDigest"])
        for known in items(revision, "status", status_field)
        if known.get("imageDigest")
    }
    for pod in pods:
        for status in items(pod, "status", status_field):
            if status.get("imageID"):
                reported.setdefault(str(status.get("name")), str(status["imageID"]))
    result: list[Object] = []
    for container in items(revision, "spec", kind):
        name, image = str(container.get("name")), str(container.get("image"))
        digest = image if "@" in image else reported.get(name, "")
        result.append({"name": name, **({"imageDigest": digest} if digest else {})})
    return result


def _never_ready(observed: Observed, kind: str) -> Verdict:
    """The verdict on a Revision that has not had its pods yet.

    One that failed stays so when its pods are taken away: they were its only witnesses.
    """
    before = observed.previous.get(kind)
    if before is not None and before.status == "False" and not observed.pods:
        return before
    active = verdict_of(observed.pod_autoscaler, ACTIVE)
    timed_out = active.status == "False" and active.reason == "TimedOut"
    if timed_out and kind == RESOURCES_AVAILABLE:
        return false("ProgressDeadlineExceeded", "Initial scale was never achieved")
    return _DEPLOYING


def _has_no_available_pod(deployment: Object) -> bool:
    wanted = part(deployment, "spec").get("replicas", 1)
    return bool(wanted) and not part(deployment, "status").get("availableReplicas")


def _resource_failure(observed: Observed) -> Verdict | None:
    failed = condition_of(observed.deployment, "ReplicaFailure")
    if failed is not None and failed.get("status") == "True":
        return false(failed.get("reason") or "FailedCreate", failed.get("message") or "")
    for pod in observed.pods:
        scheduled = condition_of(pod, "PodScheduled")
        if scheduled is None or scheduled.get("status") != "False":
            continue
        if not observed.ignore_unschedulable:
            reason = scheduled.get("reason") or "Unschedulable"
            return false(reason, scheduled.get("message") or "")
    progressing = condition_of(observed.deployment, "Progressing")
    timed_out = progressing is not None and progressing.get("status") == "False"
    waiting = _waiting(observed.pods, any_reason=timed_out)
    if waiting is not None:
        return waiting
    if progressing is not None and timed_out:
        reason = progressing.get("reason") or "ProgressDeadlineExceeded"
        return false(reason, progressing.get("message") or "")
    return None


def _waiting(pods: tuple[Object, ...], *, any_reason: bool) -> Verdict | None:
    for pod in pods:
        for status in _container_statuses(pod):
            state = part(status, "state", "waiting")
            reason = state.get("reason") or ""
            if reason in _STUCK_REASONS or (any_reason and reason):
                return false(reason, _with_image(status, state.get("message") or ""))
    return None


def _with_image(status: Object, message: str) -> str:
    image = str(status.get("image") or "")
    return message if not image or image in message else f"{message} (image {image})".strip()


def _container_failure(pods: tuple[Object, ...]) -> Verdict | None:
    for pod in sorted(pods, key=name_of):
        for status in _container_statuses(pod):
            ended = part(status, "state", "terminated") or part(status, "lastState", "terminated")
            if not ended:
                continue
            code = ended.get("exitCode", 0)
            unsaid = f"exit code {code} ({ended.get('reason') or 'Error'})"
            said = ended.get("message") or (unsaid if code else "container exited with no error")
            return false(f"ExitCode{code}", f"Container failed with: {said}")
    return None


def _container_statuses(pod: Object) -> list[Object]:
    return [
        *items(pod, "status", "initContainerStatuses"),
        *items(pod, "status", "containerStatuses"),
    ]


def _active(pod_autoscaler: Object) -> Verdict:
    if condition_of(pod_autoscaler, ACTIVE) is None:
        return _DEPLOYING
    return verdict_of(pod_autoscaler, ACTIVE)
