"""The resources of `serving.knative.dev`, and the labels and annotations that tie them together."""

from __future__ import annotations

from tidegate.kube.resources import Resource

GROUP = "serving.knative.dev"
_CATEGORIES = ("all", "knative", "serving")

SERVICES = Resource(GROUP, "v1", "Service", "services", True, ("kservice", "ksvc"), _CATEGORIES)
CONFIGURATIONS = Resource(
    GROUP, "v1", "Configuration", "configurations", True, ("config", "cfg"), _CATEGORIES
)
REVISIONS = Resource(GROUP, "v1", "Revision", "revisions", True, ("rev",), _CATEGORIES)
ROUTES = Resource(GROUP, "v1", "Route", "routes", True, ("rt",), _CATEGORIES)
DOMAIN_MAPPINGS = Resource(
    GROUP, "v1beta1", "DomainMapping", "domainmappings", True, ("dm",), _CATEGORIES
)

SERVICE_LABEL = f"{GROUP}/service"
SERVICE_UID_LABEL = f"{GROUP}/serviceUID"
CONFIGURATION_LABEL = f"{GROUP}/configuration"
CONFIGURATION_GENERATION_LABEL = f"{GROUP}/configurationGeneration"
CONFIGURATION_UID_LABEL = f"{GROUP}/configurationUID"
REVISION_LABEL = f"{GROUP}/revision"
REVISION_UID_LABEL = f"{GROUP}/revisionUID"
ROUTE_LABEL = f"{GROUP}/route"
ROUTING_STATE_LABEL = f"{GROUP}/routingState"
DOMAIN_MAPPING_UID_LABEL = f"{GROUP}/domainMappingUID"
DOMAIN_MAPPING_NAMESPACE_LABEL = f"{GROUP}/domainMappingNamespace"

ROUTES_ANNOTATION = f"{GROUP}/routes"
ROUTING_STATE_MODIFIED_ANNOTATION = f"{GROUP}/routingStateModified"
# Either spelling; the first that is there counts.
ROLLOUT_DURATION_ANNOTATIONS = (f"{GROUP}/rollout-duration", f"{GROUP}/rolloutDuration")
PROGRESS_DEADLINE_ANNOTATION = f"{GROUP}/progress-deadline"
NO_GC_ANNOTATION = f"{GROUP}/no-gc"
CREATOR_ANNOTATION = f"{GROUP}/creator"
LAST_MODIFIER_ANNOTATION = f"{GROUP}/lastModifier"
