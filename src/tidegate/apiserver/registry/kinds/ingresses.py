"""Ingress: its defaults and what makes it valid."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import (
    form,
    ip_problem,
    placed,
    validate_port,
    validate_port_name,
    validate_text,
    wildcard_problem,
)
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.names import label_1035_problem, subdomain_problem
from tidegate.apiserver.values import ensure, objects, section, strings
from tidegate.kube.objects import Object
from tidegate.kube.resources import INGRESSES

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def _default_ingress(obj: Object) -> None:
    ensure(ensure(obj, "status"), "loadBalancer")


def _validate_ingress(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    rules = objects(spec.get("rules"))
    if not rules and not spec.get("defaultBackend"):
        errors.invalid("spec", spec, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend"):
        _validate_backend(section(spec, "defaultBackend"), "spec.defaultBackend", errors)
    for path, rule in placed(rules, "spec.rules"):
        host = str(rule.get("host") or "")
        if host and ip_problem(host) is None:
            errors.invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        form(rule, "host", wildcard_problem, path, errors)
        paths = objects(section(rule, "http").get("paths"))
        if "http" in rule and not paths:
            errors.required(f"{path}.http.paths")
        for where, entry in placed(paths, f"{path}.http.paths"):
            _validate_path(entry, where, errors)
    form(spec, "ingressClassName", subdomain_problem, "spec", errors)
    _validate_tls(objects(spec.get("tls")), errors)


def _validate_tls(entries: list[Object], errors: FieldErrors) -> None:
    for path, entry in placed(entries, "spec.tls"):
        form(entry, "secretName", subdomain_problem, path, errors)
        for where, host in placed(strings(entry.get("hosts")), f"{path}.hosts"):
            validate_text(host, wildcard_problem, where, errors)


def _validate_path(entry: Object, path: str, errors: FieldErrors) -> None:
    kind = entry.get("pathType")
    if not kind:
        errors.required(f"{path}.pathType", "pathType must be specified")
    elif kind not in _PATH_TYPES:
        errors.not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    else:
        _validate_route(str(entry.get("path") or ""), kind, f"{path}.path", errors)
    _validate_backend(section(entry, "backend"), f"{path}.backend", errors)


def _validate_route(route: str, kind: str, path: str, errors: FieldErrors) -> None:
    free = kind == "ImplementationSpecific"
    if not route.startswith("/"):
        if route or not free:
            errors.invalid(path, route, "must be an absolute path")
        return
    if free:
        return
    for part in ("//", "/./", "/../", "%2f", "%2F"):
        if part in route:
            errors.invalid(path, route, f"must not contain '{part}'")
    for end in ("/..", "/."):
        if route.endswith(end):
            errors.invalid(path, route, f"cannot end with '{end}'")


def _validate_backend(backend: Object, path: str, errors: FieldErrors) -> None:
    service = section(backend, "service")
    if "resource" in backend:
        if "service" in backend:
            errors.invalid(path, "", "cannot set both resource and service backends")
        return
    if "service" not in backend:
        errors.invalid(path, "", "resource or service backend is required")
        return
    if not service.get("name"):
        errors.required(f"{path}.service.name")
    form(service, "name", label_1035_problem, f"{path}.service", errors)
    port, where = section(service, "port"), f"{path}.service.port"
    if port.get("name") and port.get("number"):
        errors.invalid(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        validate_port_name(str(port["name"]), f"{where}.name", errors)
    elif port.get("number"):
        validate_port(port["number"], f"{where}.number", errors)
    else:
        errors.required(path, "port name or number is required")


INGRESS_KINDS = (
    builtin(
        INGRESSES,
        "networking",
        default=_default_ingress,
        validate=_validate_ingress,
        status_subresource=True,
        generation=True,
    ),
)
