"""Services, endpoints and ingresses in tables."""

from __future__ import annotations

from tidegate.apiserver.tables.columns import AGE, NAME, Cell, Column, Layout, wide
from tidegate.apiserver.tables.common import (
    NONE,
    UNSET,
    age_of,
    format_labels,
    listed,
    load_balancer_addresses,
    part,
    some,
)
from tidegate.kube.objects import Object, name_of


def _service(obj: Object, now: float) -> list[Cell]:
    spec = part(obj, "spec")
    return [
        name_of(obj),
        spec.get("type") or "ClusterIP",
        spec.get("clusterIP") or NONE,
        _external_address(obj),
        ",".join(_service_port(port) for port in listed(spec, "ports")) or NONE,
        age_of(obj, now),
        format_labels(spec.get("selector")),
    ]


def _external_address(obj: Object) -> str:
    spec = part(obj, "spec")
    addresses: list[str] = list(spec.get("externalIPs") or [])
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName") or "")
    if spec.get("type") == "LoadBalancer":
        return ",".join(load_balancer_addresses(obj) + addresses) or "<pending>"
    return ",".join(addresses) or NONE


def _service_port(port: Object) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol') or 'TCP'}"


def _endpoints(obj: Object, now: float) -> list[Cell]:
    return [name_of(obj), _endpoint_addresses(obj), age_of(obj, now)]


def _endpoint_addresses(obj: Object) -> str:
    found: list[str] = []
    for subset in listed(obj, "subsets"):
        addresses = [str(a.get("ip")) for a in listed(subset, "addresses")]
        ports = [str(p.get("port")) for p in listed(subset, "ports")]
        if not ports:
            found.extend(addresses)
        found.extend(f"{address}:{port}" for port in ports for address in addresses)
    return some(found)


def _endpoint_slice(obj: Object, now: float) -> list[Cell]:
    ports = (str(p.get("port") or p.get("name") or "*") for p in listed(obj, "ports"))
    endpoints = listed(obj, "endpoints")
    addresses = (str(address) for endpoint in endpoints for address in endpoint["addresses"])
    return [
        name_of(obj),
        obj.get("addressType", ""),
        some(ports, UNSET),
        some(addresses, UNSET),
        age_of(obj, now),
    ]


def _ingress(obj: Object, now: float) -> list[Cell]:
    spec = part(obj, "spec")
    hosts = [str(rule["host"]) for rule in listed(spec, "rules") if rule.get("host")]
    return [
        name_of(obj),
        spec.get("ingressClassName") or NONE,
        some(hosts, "*"),
        ",".join(load_balancer_addresses(obj)),
        "80, 443" if spec.get("tls") else "80",
        age_of(obj, now),
    ]


SERVICES = Layout(
    (
        NAME,
        Column("Type"),
        Column("Cluster-IP"),
        Column("External-IP"),
        Column("Port(s)"),
        AGE,
        wide("Selector"),
    ),
    _service,
)
ENDPOINTS = Layout((NAME, Column("Endpoints"), AGE), _endpoints)
ENDPOINT_SLICES = Layout(
    (NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE), _endpoint_slice
)
INGRESSES = Layout(
    (NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE), _ingress
)
