"""The list of built-in kinds."""

from __future__ import annotations

from tidegate.apiserver.registry.spec import KindSpec, ScaleSpec
from tidegate.kube import resources as r

BUILTIN_KINDS = tuple(
    KindSpec(
        resource=resource,
        schema=lambda: {"type": "object"},
        schema_name=f"{resource.group}.{resource.version}.{resource.kind}",
        status_subresource=resource
        in (r.PODS, r.SERVICES, r.NODES, r.NAMESPACES, r.DEPLOYMENTS, r.REPLICA_SETS, r.INGRESSES),
        generation=resource in (r.DEPLOYMENTS, r.REPLICA_SETS, r.INGRESSES),
        scale=ScaleSpec() if resource in (r.DEPLOYMENTS, r.REPLICA_SETS) else None,
        name_rule="path" if resource.group == "rbac.authorization.k8s.io" else "subdomain",
        selectable_fields=(
            "spec.nodeName",
            "status.phase",
            "involvedObject.name",
            "type",
            "involvedObject.namespace",
            "involvedObject.uid",
            "involvedObject.kind",
            "reason",
        ),
    )
    for resource in (
        r.NAMESPACES,
        r.PODS,
        r.SERVICES,
        r.ENDPOINTS,
        r.CONFIG_MAPS,
        r.SECRETS,
        r.SERVICE_ACCOUNTS,
        r.EVENTS,
        r.NODES,
        r.DEPLOYMENTS,
        r.REPLICA_SETS,
        r.INGRESSES,
        r.ENDPOINT_SLICES,
        r.LEASES,
        r.ROLES,
        r.ROLE_BINDINGS,
        r.CLUSTER_ROLES,
        r.CLUSTER_ROLE_BINDINGS,
        r.CUSTOM_RESOURCE_DEFINITIONS,
    )
)
