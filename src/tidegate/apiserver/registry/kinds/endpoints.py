"""Endpoints and EndpointSlice: their defaults and what makes them valid.

Unlike in Kubernetes an address may be a loopback one, for that is where pods are here.
"""

from __future__ import annotations

import ipaddress

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import (
    PROTOCOLS,
    form,
    ip_problem,
    placed,
    supported,
    validate_port,
    validate_text,
)
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.names import (
    label_problem,
    qualified_problem,
    subdomain_problem,
)
from tidegate.apiserver.values import objects, strings
from tidegate.kube.objects import Object
from tidegate.kube.resources import ENDPOINT_SLICES, ENDPOINTS

_TYPES = ("FQDN", "IPv4", "IPv6")
_MAX_ADDRESSES = 100
_MAX_ENDPOINTS = 1000
_MAX_PORTS = 20_000


def _default_slice(obj: Object) -> None:
    for port in objects(obj.get("ports")):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
    obj.setdefault("endpoints", [])


def _validate_slice(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    kind = str(obj.get("addressType") or "")
    if not kind:
        errors.required("addressType")
    elif kind not in _TYPES:
        errors.not_supported("addressType", kind, _TYPES)
    if old is not None:
        errors.immutable("addressType", old.get("addressType"), kind)
    endpoints, ports = objects(obj.get("endpoints")), objects(obj.get("ports"))
    if len(endpoints) > _MAX_ENDPOINTS:
        errors.too_many("endpoints", len(endpoints), _MAX_ENDPOINTS)
    else:
        for path, endpoint in placed(endpoints, "endpoints"):
            _validate_endpoint(endpoint, path, kind, errors)
    if len(ports) > _MAX_PORTS:
        errors.too_many("ports", len(ports), _MAX_PORTS)
    _validate_slice_ports(ports, errors)


def _validate_endpoint(endpoint: Object, path: str, kind: str, errors: FieldErrors) -> None:
    addresses = strings(endpoint.get("addresses"))
    if not addresses:
        errors.required(f"{path}.addresses", "must contain at least 1 address")
    elif len(addresses) > _MAX_ADDRESSES:
        errors.too_many(f"{path}.addresses", len(addresses), _MAX_ADDRESSES)
    for where, address in placed(addresses, f"{path}.addresses"):
        validate_text(address, lambda text: _address_problem(text, kind), where, errors)
    form(endpoint, "hostname", label_problem, path, errors)
    form(endpoint, "nodeName", subdomain_problem, path, errors)


def _address_problem(address: str, kind: str) -> str | None:
    if kind == "FQDN":
        if "." not in address:
            return "should be a domain with at least two segments separated by dots"
        return subdomain_problem(address.removesuffix("."))
    problem = ip_problem(address)
    if problem or kind not in _TYPES:
        return problem
    if f"IPv{ipaddress.ip_address(address).version}" != kind:
        return f"must be an {kind} address"
    return None


def _validate_slice_ports(ports: list[Object], errors: FieldErrors) -> None:
    names: set[str] = set()
    for path, port in placed(ports, "ports"):
        name = str(port.get("name") or "")
        _validate_port(port, path, errors)
        if name in names:
            errors.duplicate(f"{path}.name", name)
        names.add(name)


def _default_endpoints(obj: Object) -> None:
    for subset in objects(obj.get("subsets")):
        for port in objects(subset.get("ports")):
            port.setdefault("protocol", "TCP")


def _validate_endpoints(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    for path, subset in placed(objects(obj.get("subsets")), "subsets"):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for where, address in placed(objects(subset.get(field)), f"{path}.{field}"):
                _validate_address(address, where, errors)
        ports = objects(subset.get("ports"))
        for where, port in placed(ports, f"{path}.ports"):
            if len(ports) > 1 and not port.get("name"):
                errors.required(f"{where}.name")
            _validate_port(port, where, errors)


def _validate_port(port: Object, path: str, errors: FieldErrors) -> None:
    form(port, "name", label_problem, path, errors)
    validate_port(port.get("port"), f"{path}.port", errors)
    supported(port, "protocol", PROTOCOLS, path, errors)
    form(port, "appProtocol", qualified_problem, path, errors)


def _validate_address(address: Object, path: str, errors: FieldErrors) -> None:
    validate_text(address.get("ip") or "", ip_problem, f"{path}.ip", errors)
    form(address, "hostname", label_problem, path, errors)
    form(address, "nodeName", subdomain_problem, path, errors)


ENDPOINT_KINDS = (
    builtin(
        ENDPOINTS,
        "core",
        default=_default_endpoints,
        validate=_validate_endpoints,
        create_on_update=True,
    ),
    builtin(
        ENDPOINT_SLICES,
        "discovery",
        default=_default_slice,
        validate=_validate_slice,
        generation=True,
    ),
)
