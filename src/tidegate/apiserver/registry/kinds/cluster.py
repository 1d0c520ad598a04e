"""Ingress, Lease, and the kinds of role-based access control."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import (
    form,
    ip_problem,
    not_negative,
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
from tidegate.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    INGRESSES,
    LEASES,
    ROLE_BINDINGS,
    ROLES,
)

_RBAC = "rbac.authorization.k8s.io"
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


def _validate_lease(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        errors.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    not_negative(spec, "leaseTransitions", "spec", errors)


def _validate_role(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    for path, rule in placed(objects(obj.get("rules")), "rules"):
        if not rule.get("verbs"):
            errors.required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            _validate_urls(rule, path, errors, namespaced=obj["kind"] == "Role")
            continue
        for field, word in (("apiGroups", "api group"), ("resources", "resource")):
            if not rule.get(field):
                detail = f"resource rules must supply at least one {word}"
                errors.required(f"{path}.{field}", detail)


def _validate_urls(rule: Object, path: str, errors: FieldErrors, *, namespaced: bool) -> None:
    where, urls = f"{path}.nonResourceURLs", rule["nonResourceURLs"]
    if namespaced:
        errors.invalid(where, urls, "namespaced rules cannot apply to non-resource URLs")
    if any(rule.get(name) for name in ("apiGroups", "resources", "resourceNames")):
        detail = "rules cannot apply to both regular resources and non-resource URLs"
        errors.invalid(where, urls, detail)


def _validate_cluster_role(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    _validate_role(obj, old, errors)
    if "aggregationRule" in obj and not section(obj, "aggregationRule").get("clusterRoleSelectors"):
        errors.required(
            "aggregationRule.clusterRoleSelectors",
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        )


def _default_role(obj: Object) -> None:
    obj.setdefault("rules", [])


def _default_binding(obj: Object) -> None:
    role = section(obj, "roleRef")
    if role:
        role.setdefault("apiGroup", _RBAC)
    for subject in objects(obj.get("subjects")):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC)


def _validate_binding(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    role = section(obj, "roleRef")
    kinds = ("ClusterRole",) if obj["kind"] == "ClusterRoleBinding" else ("ClusterRole", "Role")
    if role.get("apiGroup") != _RBAC:
        errors.not_supported("roleRef.apiGroup", role.get("apiGroup"), (_RBAC,))
    if role.get("kind") not in kinds:
        errors.not_supported("roleRef.kind", role.get("kind"), kinds)
    if not role.get("name"):
        errors.required("roleRef.name")
    for path, subject in placed(objects(obj.get("subjects")), "subjects"):
        _validate_subject(subject, path, errors)
    if old is not None and role != section(old, "roleRef"):
        errors.invalid("roleRef", role, "cannot change roleRef")


def _validate_subject(subject: Object, path: str, errors: FieldErrors) -> None:
    kind = subject.get("kind")
    group = "" if kind == "ServiceAccount" else _RBAC
    if kind not in ("ServiceAccount", "User", "Group"):
        errors.not_supported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))
        return
    if (subject.get("apiGroup") or "") != group:
        errors.not_supported(f"{path}.apiGroup", subject.get("apiGroup"), (group,))
    if not subject.get("name"):
        errors.required(f"{path}.name")
    if kind == "ServiceAccount":
        form(subject, "name", subdomain_problem, path, errors)
        if not subject.get("namespace"):
            errors.required(f"{path}.namespace")


CLUSTER_KINDS = (
    builtin(
        INGRESSES,
        "networking",
        default=_default_ingress,
        validate=_validate_ingress,
        status_subresource=True,
        generation=True,
    ),
    builtin(
        LEASES,
        "coordination",
        validate=_validate_lease,
        unconditional_update=False,
        create_on_update=True,
    ),
    builtin(
        ROLES,
        "rbac",
        default=_default_role,
        validate=_validate_role,
        name_rule="path",
        create_on_update=True,
    ),
    builtin(
        CLUSTER_ROLES,
        "rbac",
        default=_default_role,
        validate=_validate_cluster_role,
        name_rule="path",
        create_on_update=True,
    ),
    builtin(
        ROLE_BINDINGS,
        "rbac",
        default=_default_binding,
        validate=_validate_binding,
        name_rule="path",
        create_on_update=True,
    ),
    builtin(
        CLUSTER_ROLE_BINDINGS,
        "rbac",
        default=_default_binding,
        validate=_validate_binding,
        name_rule="path",
        create_on_update=True,
    ),
)
