"""Every kind of ours that an API server serves."""

from __future__ import annotations

from typing import Any

from tidegate.apis import autoscaling, networking, serving
from tidegate.apis.kinds import KindDefinition, PrinterColumn
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource


def _admit(new: Object, _old: Object | None, _user: str) -> Object:
    return new


def _schema() -> dict[str, Any]:
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


_READY = PrinterColumn("Ready", "string", '.status.conditions[?(@.type=="Ready")].status')
_REASON = PrinterColumn("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason')
_URL = PrinterColumn("URL", "string", ".status.url")
_LATEST_CREATED = PrinterColumn("LatestCreated", "string", ".status.latestCreatedRevisionName")
_LATEST_READY = PrinterColumn("LatestReady", "string", ".status.latestReadyRevisionName")


def _kind(resource: Resource, *columns: PrinterColumn, status: bool = True) -> KindDefinition:
    return KindDefinition(resource, _admit, _schema, columns, status)


KINDS: tuple[KindDefinition, ...] = (
    _kind(serving.SERVICES, _URL, _LATEST_CREATED, _LATEST_READY, _READY, _REASON),
    _kind(serving.CONFIGURATIONS, _LATEST_CREATED, _LATEST_READY, _READY, _REASON),
    _kind(
        serving.REVISIONS,
        PrinterColumn(
            "Config Name", "string", r".metadata.labels['serving\.knative\.dev/configuration']"
        ),
        PrinterColumn(
            "Generation",
            "string",
            r".metadata.labels['serving\.knative\.dev/configurationGeneration']",
        ),
        _READY,
        _REASON,
        PrinterColumn("Actual Replicas", "integer", ".status.actualReplicas"),
        PrinterColumn("Desired Replicas", "integer", ".status.desiredReplicas"),
    ),
    _kind(serving.ROUTES, _URL, _READY, _REASON),
    _kind(serving.DOMAIN_MAPPINGS, _URL, _READY, _REASON),
    _kind(
        autoscaling.POD_AUTOSCALERS,
        PrinterColumn("DesiredScale", "integer", ".status.desiredScale"),
        PrinterColumn("ActualScale", "integer", ".status.actualScale"),
        _READY,
        _REASON,
    ),
    _kind(networking.INGRESSES, _READY, _REASON),
    _kind(networking.CLUSTER_DOMAIN_CLAIMS, status=False),
)
