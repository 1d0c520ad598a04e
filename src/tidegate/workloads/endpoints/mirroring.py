"""Endpoints that a user writes for a Service without selector, mirrored into EndpointSlices.

Who reads EndpointSlices alone then finds them, as in Kubernetes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable

from tidegate.kube.controller import Context, Controller
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    controller_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from tidegate.kube.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from tidegate.kube.waiting import all_of
from tidegate.workloads import keeping
from tidegate.workloads.endpoints.slices import (
    MANAGED_BY_LABEL,
    SERVICE_NAME_LABEL,
    SKIP_MIRROR_LABEL,
    selects,
)

MIRROR = "endpointslicemirroring-controller.k8s.io"
_LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
_BY_SERVICE = "mirrored-service"
_MAX_ADDRESSES = 1000
_NAME_HASH_LENGTH = 10
_MAX_BASE_LENGTH = 242


class EndpointMirrorController:
    """Reconciles Endpoints with the slices made of them."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._services = context.informers.of(SERVICES)
        self._endpoints = context.informers.of(ENDPOINTS)
        self._slices = context.informers.of(ENDPOINT_SLICES)
        self._slices.add_index(_BY_SERVICE, _mirrored)
        self.controller = (
            Controller("endpoint-mirror", self.reconcile, clock=context.clock)
            .watch(self._endpoints)
            .watch(self._services, _same_name)
            .watch(self._slices, _endpoints_of)
        )

    async def reconcile(self, key: Key) -> float | None:
        """Write the slices of one Endpoints object, and delete what is stale."""
        endpoints = self._endpoints.get(key.name, key.namespace)
        service = self._services.get(key.name, key.namespace)
        wanted: dict[str, Object] = {}
        if endpoints is not None and service is not None and is_mirrored(endpoints, service):
            wanted = {name_of(item): item for item in mirrored_slices(endpoints)}
        known = {
            name_of(item): item
            for item in self._slices.by_index(_BY_SERVICE, f"{key.namespace}/{key.name}")
        }
        await all_of(
            *(self._put(item, known.get(name)) for name, item in wanted.items()),
            *(
                keeping.remove(self._client, ENDPOINT_SLICES, item)
                for name, item in known.items()
                if name not in wanted
            ),
        )
        return None

    async def _put(self, wanted: Object, known: Object | None) -> None:
        if known is None:
            await self._client.create(ENDPOINT_SLICES, wanted)
        elif wanted["endpoints"] != known.get("endpoints") or labels_of(wanted) != labels_of(known):
            await keeping.replace(self._client, ENDPOINT_SLICES, wanted, known)


def is_mirrored(endpoints: Object, service: Object) -> bool:
    """Whether these are a user's own, and not held back from mirroring."""
    return (
        not selects(service)
        and not is_deleting(endpoints)
        and labels_of(endpoints).get(SKIP_MIRROR_LABEL) != "true"
        and _LEADER_ANNOTATION not in annotations_of(endpoints)
    )


def mirrored_slices(endpoints: Object) -> list[Object]:
    """One slice per subset and address family; their names follow from ports and family."""
    slices: list[Object] = []
    for subset in endpoints.get("subsets") or ():
        families: dict[str, list[Object]] = {}
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field) or ():
                family = _family(str(address.get("ip")))
                families.setdefault(family, []).append(_endpoint(address, ready=ready))
        ports: list[Object] = [_port(port) for port in subset.get("ports") or ()]
        slices.extend(
            _slice(endpoints, family, ports, members[:_MAX_ADDRESSES])
            for family, members in sorted(families.items())
        )
    return slices


def _slice(endpoints: Object, family: str, ports: list[Object], members: list[Object]) -> Object:
    identity = json.dumps([uid_of(endpoints), family, ports])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_NAME_HASH_LENGTH]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name_of(endpoints)[:_MAX_BASE_LENGTH]}-{digest}",
            "namespace": namespace_of(endpoints),
            "labels": {
                **labels_of(endpoints),
                SERVICE_NAME_LABEL: name_of(endpoints),
                MANAGED_BY_LABEL: MIRROR,
            },
            "ownerReferences": [owner_reference(endpoints)],
        },
        "addressType": family,
        "ports": ports,
        "endpoints": members,
    }


def _endpoint(address: Object, *, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _port(port: Object) -> Object:
    shown: Object = {
        "name": port.get("name") or "",
        "port": port.get("port"),
        "protocol": port.get("protocol") or "TCP",
    }
    return {**shown, "appProtocol": port["appProtocol"]} if port.get("appProtocol") else shown


def _family(address: str) -> str:
    return "IPv6" if ipaddress.ip_address(address).version == 6 else "IPv4"


def _mirrored(item: Object) -> Iterable[str]:
    name = labels_of(item).get(SERVICE_NAME_LABEL)
    if name and labels_of(item).get(MANAGED_BY_LABEL) == MIRROR:
        yield f"{namespace_of(item)}/{name}"


def _same_name(service: Object) -> Iterable[Key]:
    yield key_of(service)


def _endpoints_of(item: Object) -> Iterable[Key]:
    owner = controller_of(item)
    if owner is not None and owner.get("kind") == "Endpoints":
        yield Key(namespace_of(item), str(owner["name"]))
