"""Which labels and annotations go from an object to those made from it."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.apis import serving
from tidegate.kube.objects import Object, annotations_of, labels_of, name_of, uid_of

_LAST_APPLIED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "client.knative.dev/last-applied-configuration",
)
# What changes during a Revision's life; in a pod template it would restart the pods.
_CHANGING_ANNOTATIONS = (
    serving.ROUTES_ANNOTATION,
    serving.ROUTING_STATE_MODIFIED_ANNOTATION,
    f"{serving.GROUP}/lastPinned",
)
_CHANGING_LABELS = (serving.ROUTING_STATE_LABEL, serving.ROUTE_LABEL)


def without_bookkeeping(annotations: Mapping[str, str]) -> dict[str, str]:
    """Annotations without what clients keep for themselves."""
    return {key: value for key, value in annotations.items() if key not in _LAST_APPLIED}


def revision_labels(revision: Object) -> dict[str, str]:
    """Labels of what is made from a Revision."""
    labels = {k: v for k, v in labels_of(revision).items() if k not in _CHANGING_LABELS}
    return {
        **labels,
        serving.REVISION_LABEL: name_of(revision),
        serving.REVISION_UID_LABEL: uid_of(revision),
    }


def revision_annotations(revision: Object) -> dict[str, str]:
    """Annotations of what is made from a Revision."""
    annotations = without_bookkeeping(annotations_of(revision))
    return {k: v for k, v in annotations.items() if k not in _CHANGING_ANNOTATIONS}
