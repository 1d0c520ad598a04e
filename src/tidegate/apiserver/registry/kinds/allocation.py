"""Addresses and node ports of Services: given out once each, kept across updates."""

from __future__ import annotations

import ipaddress
import secrets

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import placed
from tidegate.apiserver.registry.spec import ClusterView
from tidegate.apiserver.values import objects, section
from tidegate.kube.objects import Object
from tidegate.kube.resources import SERVICES

# Within 127.0.0.0/8 every address answers on Linux without being configured.
SERVICE_NETWORK = ipaddress.IPv4Network("127.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_ATTEMPTS = 64


def allocate_service(
    obj: Object, old: Object | None, view: ClusterView, errors: FieldErrors
) -> None:
    """Fill `clusterIP`, `clusterIPs` and `nodePort` where they are left out."""
    spec = obj["spec"]
    before = section(old, "spec") if old is not None else {}
    others = [other for other in view.all(SERVICES) if not _same(other, obj)]
    if spec["type"] == "ExternalName":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
    else:
        _cluster_ip(spec, before, others, errors)
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _node_ports(spec, before, others, errors)
    else:
        _no_node_ports(spec, before, errors)
        if not spec.get("externalIPs"):
            spec.pop("externalTrafficPolicy", None)


def _cluster_ip(spec: Object, before: Object, others: list[Object], errors: FieldErrors) -> None:
    given = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
    known = before.get("clusterIP") or ""
    if known and not given:
        given = known
    elif known and given != known:
        errors.invalid("spec.clusterIPs[0]", [given], "may not change once set")
        return
    used = {str(section(other, "spec").get("clusterIP") or "") for other in others}
    if not given:
        given = _free_address(used)
        if not given:
            errors.invalid("spec.clusterIP", "", f"no address is free in {SERVICE_NETWORK}")
    elif given not in ("None", known):
        _check_address(str(given), used, errors)
    spec["clusterIP"], spec["clusterIPs"] = given, [given]


def _check_address(address: str, used: set[str], errors: FieldErrors) -> None:
    try:
        valid = ipaddress.ip_address(address) in SERVICE_NETWORK
    except ValueError:
        errors.invalid("spec.clusterIPs[0]", address, "must be a valid IP address")
        return
    if not valid:
        errors.invalid(
            "spec.clusterIPs",
            [address],
            f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid"
            f" range. The range of valid IPs is {SERVICE_NETWORK}",
        )
    elif address in used:
        errors.invalid(
            "spec.clusterIPs",
            [address],
            f"failed to allocate IP {address}: provided IP is already allocated",
        )


def _free_address(used: set[str]) -> str:
    size = SERVICE_NETWORK.num_addresses
    for _ in range(_ATTEMPTS):
        address = str(SERVICE_NETWORK[1 + secrets.randbelow(size - 2)])
        if address not in used:
            return address
    return next((str(host) for host in SERVICE_NETWORK.hosts() if str(host) not in used), "")


def _node_ports(spec: Object, before: Object, others: list[Object], errors: FieldErrors) -> None:
    used = {number for other in others for number in _numbers(section(other, "spec"))}
    known = {
        (port["port"], port.get("protocol")): port.get("nodePort")
        for port in objects(before.get("ports"))
    }
    taken = used | _numbers(spec)
    wanted = spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
    for where, port in placed(objects(spec.get("ports")), "spec.ports"):
        number, path = port.get("nodePort"), f"{where}.nodePort"
        if number:
            _check_node_port(number, path, used, errors)
        elif wanted:
            kept = known.get((port["port"], port.get("protocol")))
            number = kept if kept and kept not in taken else _free_port(taken)
            if number is None:
                errors.invalid(path, 0, "no node port is free")
                return
            taken.add(number)
            port["nodePort"] = number


def _check_node_port(number: int, path: str, used: set[int], errors: FieldErrors) -> None:
    if number not in NODE_PORTS:
        errors.invalid(
            path,
            number,
            "provided port is not in the valid range. The range of valid ports is"
            f" {NODE_PORTS[0]}-{NODE_PORTS[-1]}",
        )
    elif number in used:
        errors.invalid(path, number, "provided port is already allocated")


def _numbers(spec: Object) -> set[int]:
    return {port["nodePort"] for port in objects(spec.get("ports")) if port.get("nodePort")}


def _no_node_ports(spec: Object, before: Object, errors: FieldErrors) -> None:
    changed_type = bool(before) and before.get("type") != spec["type"]
    for path, port in placed(objects(spec.get("ports")), "spec.ports"):
        if not port.get("nodePort"):
            port.pop("nodePort", None)
        elif changed_type:
            del port["nodePort"]
        else:
            errors.forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")


def _free_port(taken: set[int]) -> int | None:
    for _ in range(_ATTEMPTS):
        port = secrets.choice(NODE_PORTS)
        if port not in taken:
            return port
    return next((port for port in NODE_PORTS if port not in taken), None)


def _same(one: Object, other: Object) -> bool:
    a, b = one["metadata"], other["metadata"]
    return a.get("name") == b.get("name") and a.get("namespace") == b.get("namespace")
