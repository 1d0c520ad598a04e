"""Service: its defaults and what makes it valid."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.allocation import allocate_service
from tidegate.apiserver.registry.kinds.checks import (
    PROTOCOLS,
    form,
    ip_problem,
    placed,
    supported,
    validate_name,
    validate_port,
    validate_port_or_name,
    validate_text,
    within,
)
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.names import (
    qualified_problem,
    subdomain_problem,
    validate_labels,
)
from tidegate.apiserver.values import ensure, objects, section, strings
from tidegate.kube.objects import Object
from tidegate.kube.resources import SERVICES

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_CHOICES = {
    "type": _TYPES,
    "sessionAffinity": ("ClientIP", "None"),
    "externalTrafficPolicy": ("Cluster", "Local"),
    "internalTrafficPolicy": ("Cluster", "Local"),
    "ipFamilyPolicy": ("PreferDualStack", "RequireDualStack", "SingleStack"),
    "trafficDistribution": ("PreferClose",),
}
_LONGEST_AFFINITY = 86400
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")

# By what Kubernetes calls them in its messages.
_BALANCERS_FIELDS = {
    "loadBalancerClass": "spec.loadBalancerClass",
    "loadBalancerSourceRanges": "spec.LoadBalancerSourceRanges",
}


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
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    else:
        spec.pop("allocateLoadBalancerNodePorts", None)
    ensure(ensure(obj, "status"), "loadBalancer")


def _validate_service(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    for field, values in _CHOICES.items():
        supported(spec, field, values, "spec", errors)
    validate_labels(spec.get("selector"), "spec.selector", errors)
    if spec["type"] == "ExternalName":
        _validate_external_name(spec, errors)
    elif not spec.get("ports") and spec.get("clusterIP") != "None":
        errors.required("spec.ports")
    _validate_addresses(spec, errors)
    _validate_families(spec, errors)
    _validate_affinity(spec, errors)
    if old is None:
        _validate_fields_of_types(spec, errors)
    _validate_ports(objects(spec.get("ports")), errors)


def _validate_external_name(spec: Object, errors: FieldErrors) -> None:
    name = str(spec.get("externalName") or "")
    problem = subdomain_problem(name.removesuffix("."))
    if not name:
        errors.required("spec.externalName")
    elif problem:
        errors.invalid("spec.externalName", name, problem)


def _validate_addresses(spec: Object, errors: FieldErrors) -> None:
    if spec["type"] in _WITH_NODE_PORTS and spec.get("clusterIP") == "None":
        detail = f"may not be set to 'None' for {spec['type']} services"
        errors.invalid("spec.clusterIPs[0]", "None", detail)
    for path, address in placed(strings(spec.get("externalIPs")), "spec.externalIPs"):
        validate_text(address, ip_problem, path, errors)


def _validate_families(spec: Object, errors: FieldErrors) -> None:
    """Addresses are of version 4 here, and one for each Service."""
    for path, family in placed(strings(spec.get("ipFamilies")), "spec.ipFamilies"):
        if family not in ("IPv4", "IPv6"):
            errors.not_supported(path, family, ("IPv4", "IPv6"))
        elif family != "IPv4" and spec["type"] != "ExternalName":
            errors.invalid(path, family, "not configured on this cluster")
    if spec.get("ipFamilyPolicy") == "RequireDualStack" and spec["type"] != "ExternalName":
        errors.invalid(
            "spec.ipFamilyPolicy",
            spec["ipFamilyPolicy"],
            "this cluster is not configured for dual-stack services",
        )


def _validate_affinity(spec: Object, errors: FieldErrors) -> None:
    if spec.get("sessionAffinity") != "ClientIP":
        if spec.get("sessionAffinityConfig"):
            errors.forbidden(
                "spec.sessionAffinityConfig",
                "must not be set when session affinity is None",
            )
        return
    within(
        section(spec, "sessionAffinityConfig", "clientIP"),
        "timeoutSeconds",
        "spec.sessionAffinityConfig.clientIP",
        errors,
        low=1,
        high=_LONGEST_AFFINITY,
        detail=f"must be greater than 0 and less than {_LONGEST_AFFINITY}",
    )


def _validate_fields_of_types(spec: Object, errors: FieldErrors) -> None:
    """What only some types of a new Service may say; a change of type takes such fields away."""
    balanced = spec["type"] == "LoadBalancer"
    reachable = spec["type"] in _WITH_NODE_PORTS or spec.get("externalIPs")
    if spec.get("externalTrafficPolicy") and not reachable:
        errors.invalid(
            "spec.externalTrafficPolicy",
            spec["externalTrafficPolicy"],
            "may only be set for externally-accessible services",
        )
    if not balanced and spec.get("healthCheckNodePort"):
        errors.invalid(
            "spec.healthCheckNodePort",
            spec["healthCheckNodePort"],
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        )
    for field, path in _BALANCERS_FIELDS.items():
        if not balanced and spec.get(field):
            errors.forbidden(path, "may only be used when `type` is 'LoadBalancer'")


def _validate_ports(ports: list[Object], errors: FieldErrors) -> None:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for path, port in placed(ports, "spec.ports"):
        if port.get("name") or len(ports) > 1:
            validate_name(port.get("name"), f"{path}.name", names, errors)
        if "port" not in port:
            errors.required(f"{path}.port")
            continue
        validate_port(port["port"], f"{path}.port", errors)
        validate_port_or_name(port.get("targetPort"), f"{path}.targetPort", errors)
        supported(port, "protocol", PROTOCOLS, path, errors)
        form(port, "appProtocol", qualified_problem, path, errors)
        identity = (port["port"], str(port.get("protocol")))
        if identity in numbers:
            errors.duplicate(path, {"protocol": identity[1], "port": identity[0]})
        numbers.add(identity)


SERVICE_KINDS = (
    builtin(
        SERVICES,
        "core",
        default=_default_service,
        validate=_validate_service,
        prepare=allocate_service,
        status_subresource=True,
        name_rule="label1035",
        create_on_update=True,
        selectable_fields=("spec.clusterIP", "spec.type"),
    ),
)
