"""Questions about pods that several controllers ask, and the pod a template stands for."""

from __future__ import annotations

import secrets
from typing import Any

from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.objects import (
    Object,
    annotations_of,
    condition_of,
    is_condition_true,
    is_deleting,
    namespace_of,
    owner_reference,
    spec_of,
    status_of,
    thaw,
)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_MAX_BASE_LENGTH = 58


def random_suffix() -> str:
    """Five characters without vowels or look-alikes, as Kubernetes' generated names end."""
    return "".join(secrets.choice(_SAFE_ALPHABET) for _ in range(_SUFFIX_LENGTH))


def safe_encode(number: int, *, length: int) -> str:
    """`number` written in the alphabet of generated names, `length` characters long."""
    characters: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(_SAFE_ALPHABET))
        characters.append(_SAFE_ALPHABET[digit])
    return "".join(characters)


def phase_of(pod: Object) -> str:
    return str(status_of(pod).get("phase") or "Pending")


def is_finished(pod: Object) -> bool:
    """Whether all its containers have ended for good."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Whether it counts as a replica: neither finished nor being deleted."""
    return not is_finished(pod) and not is_deleting(pod)


def is_ready(pod: Object) -> bool:
    return is_condition_true(pod, "Ready")


def ready_since(pod: Object) -> float | None:
    """Epoch seconds at which the pod last became ready; None while it is not."""
    condition = condition_of(pod, "Ready")
    if condition is None or condition.get("status") != "True":
        return None
    changed = condition.get("lastTransitionTime")
    return parse_rfc3339(str(changed)) if changed else 0.0


def available_in(pod: Object, min_ready_seconds: int, *, now: float) -> float | None:
    """Seconds until a ready pod counts as available, 0 when it does; None while not ready."""
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, since + min_ready_seconds - now) if min_ready_seconds else 0.0


def scale_down_rank(pod: Object) -> tuple[Any, ...]:
    """Sort key: the pod that a ReplicaSet gives up first comes first.

    Kubernetes' order: unassigned, pending, not ready, lower deletion cost, ready for a shorter
    time, more restarts, newer.
    """
    phases = {"Pending": 0, "Unknown": 1}
    restarts = max(
        (int(c.get("restartCount") or 0) for c in status_of(pod).get("containerStatuses") or ()),
        default=0,
    )
    return (
        bool(spec_of(pod).get("nodeName")),
        phases.get(phase_of(pod), 2),
        is_ready(pod),
        deletion_cost(pod),
        -(ready_since(pod) or 0.0),
        -restarts,
        -_created(pod),
    )


def deletion_cost(pod: Object) -> int:
    """The pod's deletion cost; one that is no integer counts as 0, as in Kubernetes."""
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def pod_from_template(owner: Object) -> Object:
    """The next pod of `owner`, named `<owner>-<5 characters>` and controlled by it."""
    template: Object = owner["spec"]["template"]
    metadata: Object = template.get("metadata") or {}
    prefix = f"{owner['metadata']['name'][:_MAX_BASE_LENGTH]}-"
    kept = {k: thaw(metadata[k]) for k in ("labels", "annotations", "finalizers") if k in metadata}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **kept,
            "name": prefix + random_suffix(),
            "generateName": prefix,
            "namespace": namespace_of(owner),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": thaw(template["spec"]),
    }


def _created(pod: Object) -> float:
    created = pod["metadata"].get("creationTimestamp")
    return parse_rfc3339(str(created)) if created else 0.0
