"""Stored objects as `Table` objects of meta.k8s.io, ready to send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.storage.stored import Stored
from tidegate.apiserver.tables import core, metrics, network, pods, policy, workloads
from tidegate.apiserver.tables.columns import Layout
from tidegate.apiserver.tables.custom import layout_of

_RBAC = "rbac.authorization.k8s.io"

_LAYOUTS: Mapping[tuple[str, str], Layout] = {
    ("", "pods"): pods.PODS,
    ("", "services"): network.SERVICES,
    ("", "endpoints"): network.ENDPOINTS,
    ("", "namespaces"): core.NAMESPACES,
    ("", "configmaps"): core.CONFIG_MAPS,
    ("", "secrets"): core.SECRETS,
    ("", "serviceaccounts"): core.SERVICE_ACCOUNTS,
    ("", "nodes"): core.NODES,
    ("", "events"): core.EVENTS,
    ("events.k8s.io", "events"): core.EVENTS_V1,
    ("apps", "deployments"): workloads.DEPLOYMENTS,
    ("apps", "replicasets"): workloads.REPLICA_SETS,
    ("batch", "jobs"): workloads.JOBS,
    ("networking.k8s.io", "ingresses"): network.INGRESSES,
    ("discovery.k8s.io", "endpointslices"): network.ENDPOINT_SLICES,
    ("coordination.k8s.io", "leases"): core.LEASES,
    ("scheduling.k8s.io", "priorityclasses"): core.PRIORITY_CLASSES,
    ("apiextensions.k8s.io", "customresourcedefinitions"): core.CREATED_AT,
    ("metrics.k8s.io", "nodes"): metrics.NODE_METRICS,
    ("metrics.k8s.io", "pods"): metrics.POD_METRICS,
    (_RBAC, "roles"): core.CREATED_AT,
    (_RBAC, "clusterroles"): core.CREATED_AT,
    (_RBAC, "rolebindings"): policy.BINDINGS,
    (_RBAC, "clusterrolebindings"): policy.BINDINGS,
}


def layout_for(spec: KindSpec) -> Layout:
    """The columns of a kind: Kubernetes' own, those it declares, or name and age."""
    if spec.printer_columns:
        return layout_of(spec.printer_columns)
    return _LAYOUTS.get((spec.resource.group, spec.resource.plural), core.DEFAULT)


def render_table(
    layout: Layout,
    items: Iterable[Stored],
    *,
    now: float,
    include: str = "Metadata",
    metadata: Mapping[str, Any] | None = None,
    headers: bool = True,
) -> bytes:
    """One table as JSON.

    Args:
        now: seconds since the Unix epoch, for ages.
        include: what of each object goes along: `None`, `Metadata` or `Object`.
        metadata: of the list, with its resourceVersion.
        headers: False leaves the columns out, as in all but the first event of a watch.
    """
    rows = [
        {"cells": layout.row(item.object, now), "object": _included(item, include)}
        for item in items
    ]
    columns = [column.to_dict() for column in layout.columns] if headers else []
    return orjson.dumps(
        {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata or {},
            "columnDefinitions": columns,
            "rows": rows,
        }
    )


def partial_metadata(item: Stored) -> dict[str, Any]:
    """An object reduced to its metadata, as a `PartialObjectMetadata`."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item.object["metadata"],
    }


def _included(item: Stored, include: str) -> Any:
    if include == "Object":
        return orjson.Fragment(item.raw)
    if include == "None":
        return None
    return partial_metadata(item)
