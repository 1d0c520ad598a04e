"""A Deployment's history: which ReplicaSet runs which template, and their revision numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.objects import (
    Object,
    annotations_of,
    name_of,
    namespace_of,
    owner_reference,
    status_of,
    thaw,
)
from tidegate.workloads.deployments.rollout import Replicas, Strategy
from tidegate.workloads.pods import safe_encode

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"

_HASH_LENGTH = 10
_MAX_BASE_LENGTH = 242
_NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    )
)


def template_hash(template: Mapping[str, Any], collisions: int) -> str:
    """The `pod-template-hash` of a template; `collisions` makes another one of the same."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":")) + str(collisions or "")
    digest = hashlib.sha256(text.encode()).digest()
    return safe_encode(int.from_bytes(digest[:8]), length=_HASH_LENGTH)


def same_template(deployment: Object, replica_set: Object) -> bool:
    """Whether the ReplicaSet runs the Deployment's present template."""
    return _bare(deployment["spec"]["template"]) == _bare(replica_set["spec"]["template"])


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The ReplicaSet of the present template, the oldest if there are several."""
    matching = [rs for rs in sets if same_template(deployment, rs)]
    return min(matching, key=lambda rs: (created(rs), name_of(rs)), default=None)


def revision_of(obj: Object) -> int:
    """The revision number in the annotations, 0 where there is none."""
    try:
        return int(annotations_of(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def next_revision(old: Iterable[Object]) -> int:
    return max((revision_of(rs) for rs in old), default=0) + 1


def created(obj: Object) -> float:
    """Creation in epoch seconds, 0 where unknown."""
    text = obj["metadata"].get("creationTimestamp")
    return parse_rfc3339(str(text)) if text else 0.0


def build_new(deployment: Object, *, replicas: int, revision: int, strategy: Strategy) -> Object:
    """The ReplicaSet of the present template, not created yet."""
    status = status_of(deployment)
    template = thaw(deployment["spec"]["template"])
    digest = template_hash(template, int(status.get("collisionCount") or 0))
    metadata: Object = template.setdefault("metadata", {})
    labels: dict[str, str] = {**(metadata.get("labels") or {}), HASH_LABEL: digest}
    metadata["labels"] = labels
    selector = thaw(deployment["spec"].get("selector") or {})
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}
    spec: Object = {"replicas": replicas, "selector": selector, "template": template}
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)[:_MAX_BASE_LENGTH]}-{digest}",
            "namespace": namespace_of(deployment),
            "labels": dict(labels),
            "annotations": {
                **inherited_annotations(deployment),
                **size_annotations(strategy),
                REVISION: str(revision),
            },
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": spec,
    }


def inherited_annotations(deployment: Object) -> dict[str, str]:
    """What a ReplicaSet copies of its Deployment's annotations, `change-cause` among them."""
    return {k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED}


def size_annotations(strategy: Strategy) -> dict[str, str]:
    """What a ReplicaSet remembers of the Deployment's size, for proportional scaling."""
    return {DESIRED_REPLICAS: str(strategy.replicas), MAX_REPLICAS: str(strategy.max_total)}


def replicas_of(replica_set: Object) -> Replicas:
    """The counts of a ReplicaSet."""
    status = status_of(replica_set)
    wanted = replica_set["spec"].get("replicas")
    return Replicas(
        name=name_of(replica_set),
        wanted=1 if wanted is None else int(wanted),
        available=int(status.get("availableReplicas") or 0),
        created=created(replica_set),
    )


def surplus_history(deployment: Object, old: Sequence[Object]) -> list[Object]:
    """Old ReplicaSets beyond `revisionHistoryLimit` that hold nothing any more, oldest first."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    keep = 10 if limit is None else int(limit)
    done = [rs for rs in old if _is_empty(rs)]
    done.sort(key=lambda rs: (revision_of(rs), created(rs)))
    return done[: max(0, len(done) - keep)]


def _is_empty(replica_set: Object) -> bool:
    status = status_of(replica_set)
    generation = replica_set["metadata"].get("generation", 0)
    return (
        replicas_of(replica_set).wanted == 0
        and not status.get("replicas")
        and int(status.get("observedGeneration") or 0) >= generation
        and not replica_set["metadata"].get("deletionTimestamp")
    )


def _bare(template: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(template.get("metadata") or {})
    labels: dict[str, str] = dict(metadata.pop("labels", None) or {})
    labels.pop(HASH_LABEL, None)
    kept = {k: v for k, v in metadata.items() if v}
    return {**template, "metadata": {**kept, "labels": labels}}
