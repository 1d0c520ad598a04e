"""Which pods a Service leads to, as EndpointSlices and Endpoints: pure functions.

A slice has one set of ports for all its endpoints, so pods are grouped by their real ports
(`kube.real_ports`), as Kubernetes does with named target ports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tidegate.kube.objects import (
    Object,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    spec_of,
    status_of,
    uid_of,
)
from tidegate.kube.real_ports import real_ports_of
from tidegate.workloads.pods import is_finished, is_ready

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror"

_MAX_ENDPOINTS = 100
_NAME_HASH_LENGTH = 10
_MAX_BASE_LENGTH = 242


class Port(NamedTuple):
    """A Service's port on one pod; `number` is the real one."""

    name: str
    number: int
    protocol: str
    app_protocol: str

    def to_slice(self) -> Object:
        port: Object = {"name": self.name, "port": self.number, "protocol": self.protocol}
        return {**port, "appProtocol": self.app_protocol} if self.app_protocol else port


Ports = tuple[Port, ...]


def selects(service: Object) -> bool:
    """Whether endpoints are ours to write: a Service without selector has its user's."""
    spec = spec_of(service)
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def backing_pods(service: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods among `pods` of the Service's namespace that have an address and may serve."""
    selector: dict[str, str] = spec_of(service)["selector"]
    return [
        pod
        for pod in pods
        if selector.items() <= labels_of(pod).items()
        and not is_finished(pod)
        and status_of(pod).get("podIP")
    ]


def ports_of(service: Object, pod: Object) -> Ports:
    """The Service's ports as this pod offers them; a named port that it lacks is left out."""
    mapping = real_ports_of(pod)
    found: list[Port] = []
    for port in spec_of(service).get("ports") or ():
        number = _container_port(port, pod)
        if number is not None:
            found.append(
                Port(
                    name=str(port.get("name") or ""),
                    number=mapping.get(number, number),
                    protocol=str(port.get("protocol") or "TCP"),
                    app_protocol=str(port.get("appProtocol") or ""),
                )
            )
    return tuple(found)


def endpoint_slices(service: Object, pods: Sequence[Object]) -> list[Object]:
    """The slices that should exist; their names follow from the Service and the ports.

    A name that follows from the content means that two reconciles can never make two slices of
    the same endpoints.
    """
    groups: dict[Ports, list[Object]] = {}
    for pod in sorted(pods, key=name_of):
        groups.setdefault(ports_of(service, pod), []).append(pod)
    slices: list[Object] = []
    for ports, members in groups.items():
        for start in range(0, len(members), _MAX_ENDPOINTS):
            chunk = members[start : start + _MAX_ENDPOINTS]
            slices.append(_slice(service, ports, chunk, start // _MAX_ENDPOINTS))
    return slices


def endpoints(service: Object, pods: Sequence[Object]) -> Object:
    """The Endpoints object for older readers: ready addresses and not ready ones per port set."""
    groups: dict[Ports, list[Object]] = {}
    for pod in sorted(pods, key=name_of):
        if not is_deleting(pod):
            groups.setdefault(ports_of(service, pod), []).append(pod)
    subsets: list[Object] = []
    for ports, members in sorted(groups.items()):
        subset: Object = {"ports": [_without_blank(port.to_slice()) for port in ports]}
        ready = [_address(pod) for pod in members if _counts_as_ready(service, pod)]
        unready = [_address(pod) for pod in members if not _counts_as_ready(service, pod)]
        if ready:
            subset["addresses"] = ready
        if unready:
            subset["notReadyAddresses"] = unready
        subsets.append(subset)
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": name_of(service),
            "namespace": namespace_of(service),
            "labels": {**labels_of(service), SKIP_MIRROR_LABEL: "true"},
            "ownerReferences": [owner_reference(service)],
        },
        "subsets": subsets,
    }


def _slice(service: Object, ports: Ports, pods: Sequence[Object], chunk: int) -> Object:
    identity = json.dumps([uid_of(service), ports, chunk])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_NAME_HASH_LENGTH]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name_of(service)[:_MAX_BASE_LENGTH]}-{digest}",
            "namespace": namespace_of(service),
            "labels": {
                **labels_of(service),
                SERVICE_NAME_LABEL: name_of(service),
                MANAGED_BY_LABEL: MANAGER,
            },
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "ports": [port.to_slice() for port in ports],
        "endpoints": [_endpoint(service, pod) for pod in pods],
    }


def _endpoint(service: Object, pod: Object) -> Object:
    serving = is_ready(pod)
    endpoint: Object = {
        "addresses": [status_of(pod)["podIP"]],
        "conditions": {
            "ready": _counts_as_ready(service, pod),
            "serving": serving,
            "terminating": is_deleting(pod),
        },
        "targetRef": _target(pod),
    }
    node = spec_of(pod).get("nodeName")
    return {**endpoint, "nodeName": node} if node else endpoint


def _counts_as_ready(service: Object, pod: Object) -> bool:
    if spec_of(service).get("publishNotReadyAddresses"):
        return True
    return is_ready(pod) and not is_deleting(pod)


def _address(pod: Object) -> Object:
    address: Object = {"ip": status_of(pod)["podIP"], "targetRef": _target(pod)}
    node = spec_of(pod).get("nodeName")
    return {**address, "nodeName": node} if node else address


def _target(pod: Object) -> Object:
    return {
        "kind": "Pod",
        "namespace": namespace_of(pod),
        "name": name_of(pod),
        "uid": uid_of(pod),
    }


def _without_blank(port: Object) -> Object:
    return {key: value for key, value in port.items() if value != ""}


def _container_port(port: Object, pod: Object) -> int | None:
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    if str(target).isdigit():
        return int(target)
    protocol = port.get("protocol") or "TCP"
    for container in spec_of(pod).get("containers") or ():
        for offered in container.get("ports") or ():
            if offered.get("name") == target and (offered.get("protocol") or "TCP") == protocol:
                return int(offered["containerPort"])
    return None
