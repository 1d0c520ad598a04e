"""Pods wanted and ready per revision, as the Deployments of the revisions say."""

from __future__ import annotations

from typing import Any, cast

from tidegate.kube.informer import Informers
from tidegate.kube.objects import Key, Object, labels_of, namespace_of, status_of
from tidegate.kube.resources import DEPLOYMENTS
from tidegate.observability.store import Store

# Knative's labels; this part needs nothing else of Knative.
REVISION_LABEL = "serving.knative.dev/revision"
CONFIGURATION_LABEL = "serving.knative.dev/configuration"
SERVICE_LABEL = "serving.knative.dev/service"


class Scales:
    """Tells the store of every change, and knows whose revision is whose."""

    def __init__(self, informers: Informers, store: Store) -> None:
        self._store = store
        self._labels: dict[Key, dict[str, str]] = {}
        self._deployments = informers.of(DEPLOYMENTS, label_selector=REVISION_LABEL)
        self._deployments.add_handler(self._changed)

    def labels(self, revision: Key) -> dict[str, str]:
        """The labels Knative's metrics have for a revision."""
        return self._labels.get(revision) or _metric_labels(revision, {})

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is None:
            return
        labels = labels_of(obj)
        revision = Key(namespace_of(obj), labels[REVISION_LABEL])
        if new is None:
            self._store.forget(revision)
            self._labels.pop(revision, None)
            return
        self._labels[revision] = _metric_labels(revision, dict(labels))
        spec = cast("dict[str, Any]", new.get("spec") or {})
        self._store.take_scale(
            revision,
            desired=int(spec.get("replicas") or 0),
            ready=int(status_of(new).get("readyReplicas") or 0),
        )


def _metric_labels(revision: Key, labels: dict[str, str]) -> dict[str, str]:
    return {
        "namespace_name": revision.namespace,
        "service_name": labels.get(SERVICE_LABEL, ""),
        "configuration_name": labels.get(CONFIGURATION_LABEL, ""),
        "revision_name": revision.name,
    }
