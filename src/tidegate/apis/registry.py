"""Every kind of ours that an API server serves."""

from __future__ import annotations

from functools import cache
from typing import Any

from tidegate.apis import admission, autoscaling, networking, serving
from tidegate.apis.kinds import Admit, KindDefinition, PrinterColumn
from tidegate.apis.openapi import object_schema
from tidegate.apis.types import autoscaling as autoscaling_types
from tidegate.apis.types import networking as networking_types
from tidegate.apis.types import serving as serving_types
from tidegate.apis.types.base import Model
from tidegate.kube.resources import Resource

_READY = PrinterColumn("Ready", "string", '.status.conditions[?(@.type=="Ready")].status')
_REASON = PrinterColumn("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason')
_URL = PrinterColumn("URL", "string", ".status.url")
_LATEST_CREATED = PrinterColumn("LatestCreated", "string", ".status.latestCreatedRevisionName")
_LATEST_READY = PrinterColumn("LatestReady", "string", ".status.latestReadyRevisionName")


def _kind(
    resource: Resource,
    model: type[Model],
    admit: Admit,
    *columns: PrinterColumn,
    status: bool = True,
) -> KindDefinition:
    @cache
    def schema() -> dict[str, Any]:
        return object_schema(model)

    return KindDefinition(resource, admit, schema, columns, status)


KINDS: tuple[KindDefinition, ...] = (
    _kind(
        serving.SERVICES,
        serving_types.Service,
        admission.admit_service,
        _URL,
        _LATEST_CREATED,
        _LATEST_READY,
        _READY,
        _REASON,
    ),
    _kind(
        serving.CONFIGURATIONS,
        serving_types.Configuration,
        admission.admit_configuration,
        _LATEST_CREATED,
        _LATEST_READY,
        _READY,
        _REASON,
    ),
    _kind(
        serving.REVISIONS,
        serving_types.Revision,
        admission.admit_revision,
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
    _kind(
        serving.ROUTES,
        serving_types.Route,
        admission.admit_route,
        _URL,
        _READY,
        _REASON,
    ),
    _kind(
        serving.DOMAIN_MAPPINGS,
        serving_types.DomainMapping,
        admission.admit_domain_mapping,
        _URL,
        _READY,
        _REASON,
    ),
    _kind(
        autoscaling.POD_AUTOSCALERS,
        autoscaling_types.PodAutoscaler,
        admission.admit_pod_autoscaler,
        PrinterColumn("DesiredScale", "integer", ".status.desiredScale"),
        PrinterColumn("ActualScale", "integer", ".status.actualScale"),
        _READY,
        _REASON,
    ),
    _kind(
        networking.INGRESSES,
        networking_types.Ingress,
        admission.admit_ingress,
        _READY,
        _REASON,
    ),
    _kind(
        networking.CLUSTER_DOMAIN_CLAIMS,
        networking_types.ClusterDomainClaim,
        admission.admit_domain_claim,
        status=False,
    ),
)
