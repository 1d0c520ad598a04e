"""Service, Endpoints and EndpointSlice."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.allocation import allocate_service
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.kinds.podvalidation import supported, validate_port
from tidegate.apiserver.registry.names import label_problem, subdomain_problem, validate_labels
from tidegate.apiserver.values import ensure, objects, section
from tidegate.kube.objects import Object
from tidegate.kube.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


def _default_service(obj: Object) -> None:
    spec = ensure(obj, "spec")
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        client = ensure(ensure(spec, "sessionAffinityConfig"), "clientIP")
        client.setdefault("timeoutSeconds", 10800)
    for port in objects(spec.get("ports")):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, "", 0) and "port" in port:
            port["targetPort"] = port["port"]
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in _WITH_NODE_PORTS:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    else:
        spec.pop("externalTrafficPolicy", None)
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    else:
        spec.pop("allocateLoadBalancerNodePorts", None)
    ensure(ensure(obj, "status"), "loadBalancer")


def _validate_service(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    supported(spec, "type", _TYPES, "spec", errors)
    supported(spec, "sessionAffinity", ("ClientIP", "None"), "spec", errors)
    supported(spec, "externalTrafficPolicy", ("Cluster", "Local"), "spec", errors)
    supported(spec, "internalTrafficPolicy", ("Cluster", "Local"), "spec", errors)
    validate_labels(spec.get("selector"), "spec.selector", errors)
    if spec["type"] == "ExternalName":
        name = str(spec.get("externalName") or "")
        problem = subdomain_problem(name.removesuffix("."))
        if not name:
            errors.required("spec.externalName")
        elif problem:
            errors.invalid("spec.externalName", name, problem)
    elif not spec.get("ports") and spec.get("clusterIP") != "None":
        errors.required("spec.ports")
    _validate_ports(objects(spec.get("ports")), errors)


def _validate_ports(ports: list[Object], errors: FieldErrors) -> None:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name")
        if not name and len(ports) > 1:
            errors.required(f"{path}.name")
        elif name:
            problem = label_problem(name)
            if problem:
                errors.invalid(f"{path}.name", name, problem)
            elif name in names:
                errors.duplicate(f"{path}.name", name)
            names.add(name)
        if "port" not in port:
            errors.required(f"{path}.port")
            continue
        validate_port(port["port"], f"{path}.port", errors)
        validate_port(port.get("targetPort"), f"{path}.targetPort", errors)
        supported(port, "protocol", _PROTOCOLS, path, errors)
        identity = (port["port"], str(port.get("protocol")))
        if identity in numbers:
            errors.duplicate(path, {"protocol": identity[1], "port": identity[0]})
        numbers.add(identity)


def _default_slice(obj: Object) -> None:
    for port in objects(obj.get("ports")):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
    obj.setdefault("endpoints", [])


def _validate_slice(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    if not obj.get("addressType"):
        errors.required("addressType")
    supported_types = ("FQDN", "IPv4", "IPv6")
    if obj.get("addressType") and obj["addressType"] not in supported_types:
        errors.not_supported("addressType", obj["addressType"], supported_types)
    if old is not None:
        errors.immutable("addressType", old.get("addressType"), obj.get("addressType"))
    for index, endpoint in enumerate(objects(obj.get("endpoints"))):
        if not endpoint.get("addresses"):
            errors.required(f"endpoints[{index}].addresses", "must contain at least 1 address")
    for index, port in enumerate(objects(obj.get("ports"))):
        validate_port(port.get("port"), f"ports[{index}].port", errors)


def _default_endpoints(obj: Object) -> None:
    for subset in objects(obj.get("subsets")):
        for port in objects(subset.get("ports")):
            port.setdefault("protocol", "TCP")


SERVICE_KINDS = (
    builtin(
        SERVICES,
        "core",
        default=_default_service,
        validate=_validate_service,
        prepare=allocate_service,
        status_subresource=True,
        name_rule="label1035",
        selectable_fields=("spec.clusterIP", "spec.type"),
    ),
    builtin(ENDPOINTS, "core", default=_default_endpoints),
    builtin(
        ENDPOINT_SLICES,
        "discovery",
        default=_default_slice,
        validate=_validate_slice,
        generation=True,
    ),
)
