"""What a cluster has before anybody asks for anything; safe to run at every start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tidegate.apiserver.authz.policy import (
    AUTOUPDATE,
    cluster_role_bindings,
    cluster_roles,
    service_accounts,
)
from tidegate.apiserver.authz.rbac import aggregated, rules_of, uncovered
from tidegate.apiserver.registry.kinds.allocation import SERVICE_NETWORK
from tidegate.apiserver.registry.kinds.priorityclasses import system_classes
from tidegate.kube.client import Client
from tidegate.kube.errors import AlreadyExists, NotFound
from tidegate.kube.objects import Object, annotations_of, name_of, namespace_of
from tidegate.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ENDPOINT_SLICES,
    NAMESPACES,
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)

# The first address of the network of Services, as Kubernetes gives itself.
SERVICE_ADDRESS = str(SERVICE_NETWORK[1])

_NAMESPACES = (
    "default",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "knative-serving",
    "tidegate-system",
)


async def bootstrap(client: Client, *, node: str, address: str, port: int) -> None:
    """Create what is missing and put our own objects right.

    Args:
        client: may do everything.
        node: the name of the node.
        address: IP address at which the API is reached.
        port: and its port.
    """
    roles = _with_aggregated_rules(cluster_roles())
    await asyncio.gather(
        *(_ensure(client, NAMESPACES, _namespace(name)) for name in _NAMESPACES),
        *(_ensure_role(client, role) for role in roles),
        *(_ensure(client, PRIORITY_CLASSES, one) for one in system_classes()),
        *(_ensure(client, CLUSTER_ROLE_BINDINGS, b) for b in cluster_role_bindings(node)),
    )
    await asyncio.gather(
        *(_ensure(client, SERVICE_ACCOUNTS, account) for account in service_accounts()),
        ensure_service(client, address=address, port=port),
    )


async def ensure_service(client: Client, *, address: str, port: int) -> None:
    """Let the Service `kubernetes` lead to the API; arguments as for `bootstrap`."""
    await asyncio.gather(
        _ensure_service(client, _service(port)),
        _ensure_endpoints(client, _endpoint_slice(address, port)),
    )


async def _ensure(client: Client, resource: Resource, obj: Object) -> None:
    namespace = namespace_of(obj) or None
    try:
        await client.get(resource, name_of(obj), namespace=namespace)
    except NotFound:
        try:
            await client.create(resource, obj, namespace=namespace)
        except AlreadyExists:
            return


async def _ensure_role(client: Client, role: Object) -> None:
    try:
        known = await client.get(CLUSTER_ROLES, name_of(role))
    except NotFound:
        await _ensure(client, CLUSTER_ROLES, role)
        return
    # An operator who wants to keep a role as it is sets the annotation to false.
    if annotations_of(known).get(AUTOUPDATE) != "true" or role.get("aggregationRule"):
        return
    missing = uncovered(rules_of(role), rules_of(known))
    if missing:
        rules: list[Object] = known.get("rules") or []
        new = [rule for rule in role["rules"] if rule not in rules]
        await client.update(CLUSTER_ROLES, {**known, "rules": [*rules, *new]})


async def _ensure_service(client: Client, wanted: Object) -> None:
    await _ensure(client, SERVICES, wanted)
    name, namespace = name_of(wanted), namespace_of(wanted)
    known = await client.get(SERVICES, name, namespace=namespace)
    ports = wanted["spec"]["ports"]
    if known["spec"]["ports"][0]["targetPort"] != ports[0]["targetPort"]:
        await client.patch(SERVICES, name, {"spec": {"ports": ports}}, namespace=namespace)


async def _ensure_endpoints(client: Client, wanted: Object) -> None:
    namespace = namespace_of(wanted)
    try:
        known = await client.get(ENDPOINT_SLICES, name_of(wanted), namespace=namespace)
    except NotFound:
        await client.create(ENDPOINT_SLICES, wanted, namespace=namespace)
        return
    if (known["endpoints"], known["ports"]) != (wanted["endpoints"], wanted["ports"]):
        changed = {"endpoints": wanted["endpoints"], "ports": wanted["ports"]}
        await client.patch(ENDPOINT_SLICES, name_of(wanted), changed, namespace=namespace)


def _with_aggregated_rules(roles: Iterable[Object]) -> list[Object]:
    everything = list(roles)
    return [{**role, "rules": aggregated(role, everything) or role["rules"]} for role in everything]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _service(port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": SERVICE_ADDRESS,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    }


def _endpoint_slice(address: str, port: int) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv6" if ":" in address else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
