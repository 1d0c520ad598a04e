"""What the autoscaler reads from Deployments and pods."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.autoscaling.policies.selection import PodView
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    status_of,
)

REVISION_LABEL = "serving.knative.dev/revision"
DRAIN = "tidegate.dev/drain"
DRAINED = "tidegate.dev/drained"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

MARK = {DRAIN: "true", DELETION_COST: "-100"}
CONDEMN = {DELETION_COST: "-1000"}
UNMARK = {DRAIN: None, DRAINED: None, DELETION_COST: None}

# What Knative grants a revision beyond the progress deadline of its Deployment.
_ACTIVATION_SLACK_SECONDS = 30.0
_DEFAULT_PROGRESS_SECONDS = 600.0


def pod_view(
    pod: Object, *, gateways: frozenset[str] = frozenset(), sessions_until: float = 0.0
) -> PodView:
    """A pod as the plan sees it; only the word of all `gateways` makes it drained."""
    annotations = annotations_of(pod)
    draining = annotations.get(DRAIN) == "true"
    return PodView(
        name=name_of(pod),
        ready=is_condition_true(pod, "Ready"),
        draining=draining,
        drained=draining and _is_drained(annotations.get(DRAINED, ""), gateways),
        created=parse_rfc3339(pod["metadata"]["creationTimestamp"]),
        sessions_until=sessions_until,
    )


def _is_drained(said: str, gateways: frozenset[str]) -> bool:
    return bool(gateways) and gateways <= frozenset(said.split(","))


def is_replica(pod: Object) -> bool:
    """Whether a pod counts: neither finished nor being deleted."""
    return not is_deleting(pod) and status_of(pod).get("phase") not in ("Succeeded", "Failed")


def target_name(pod_autoscaler: Object) -> str:
    """The Deployment that a PodAutoscaler scales."""
    return str(pod_autoscaler["spec"]["scaleTargetRef"]["name"])


def replicas_of(deployment: Object) -> int:
    replicas = deployment["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def is_settled(deployment: Object) -> bool:
    """Whether there are as many pods as the Deployment was last told."""
    status = status_of(deployment)
    seen = int(status.get("observedGeneration") or 0)
    told = int(deployment["metadata"].get("generation") or 0)
    return seen >= told and int(status.get("replicas") or 0) == replicas_of(deployment)


def gives_up_at(pod_autoscaler: Object, deployment: Object) -> float:
    """Epoch seconds until which a revision may try to reach its initial scale."""
    progress = deployment["spec"].get("progressDeadlineSeconds") or _DEFAULT_PROGRESS_SECONDS
    created = parse_rfc3339(pod_autoscaler["metadata"]["creationTimestamp"])
    return created + float(progress) + _ACTIVATION_SLACK_SECONDS


def revision_key(obj: Object) -> Iterable[Key]:
    """The PodAutoscaler of a revision's pod or Deployment: it has the revision's name."""
    revision = labels_of(obj).get(REVISION_LABEL)
    return (Key(namespace_of(obj), revision),) if revision else ()


def revision_index(obj: Object) -> Iterable[str]:
    return [str(key) for key in revision_key(obj)]
