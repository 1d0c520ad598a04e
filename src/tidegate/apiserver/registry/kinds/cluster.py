"""Ingress, Lease, and the kinds of role-based access control."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.kinds.podvalidation import not_negative
from tidegate.apiserver.registry.names import subdomain_problem
from tidegate.apiserver.values import ensure, objects, section
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
    for index, rule in enumerate(rules):
        path = f"spec.rules[{index}]"
        host = str(rule.get("host") or "")
        problem = subdomain_problem(host.removeprefix("*.")) if host else None
        if problem:
            errors.invalid(f"{path}.host", host, problem)
        for number, entry in enumerate(objects(section(rule, "http").get("paths"))):
            _validate_path(entry, f"{path}.http.paths[{number}]", errors)


def _validate_path(entry: Object, path: str, errors: FieldErrors) -> None:
    kind = entry.get("pathType")
    if not kind:
        errors.required(f"{path}.pathType", "pathType must be specified")
    elif kind not in _PATH_TYPES:
        errors.not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    elif kind != "ImplementationSpecific" and not str(entry.get("path") or "").startswith("/"):
        errors.invalid(f"{path}.path", entry.get("path") or "", "must be an absolute path")
    _validate_backend(section(entry, "backend"), f"{path}.backend", errors)


def _validate_backend(backend: Object, path: str, errors: FieldErrors) -> None:
    service = section(backend, "service")
    if backend.get("resource"):
        return
    if not service.get("name"):
        errors.required(f"{path}.service.name")
    elif not section(service, "port"):
        errors.required(f"{path}.service.port", "port name or number is required")


def _validate_lease(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        errors.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    not_negative(spec, "leaseTransitions", "spec", errors)


def _validate_role(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    for index, rule in enumerate(objects(obj.get("rules"))):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            errors.required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if obj["kind"] == "Role":
                errors.invalid(
                    f"{path}.nonResourceURLs",
                    rule["nonResourceURLs"],
                    "namespaced rules cannot apply to non-resource URLs",
                )
            continue
        if not rule.get("apiGroups"):
            errors.required(
                f"{path}.apiGroups", "resource rules must supply at least one api group"
            )
        if not rule.get("resources"):
            errors.required(f"{path}.resources", "resource rules must supply at least one resource")


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
    for index, subject in enumerate(objects(obj.get("subjects"))):
        _validate_subject(subject, f"subjects[{index}]", errors)
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
    if kind == "ServiceAccount" and not subject.get("namespace"):
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
    builtin(LEASES, "coordination", validate=_validate_lease),
    builtin(ROLES, "rbac", default=_default_role, validate=_validate_role, name_rule="path"),
    builtin(
        CLUSTER_ROLES, "rbac", default=_default_role, validate=_validate_role, name_rule="path"
    ),
    builtin(
        ROLE_BINDINGS,
        "rbac",
        default=_default_binding,
        validate=_validate_binding,
        name_rule="path",
    ),
    builtin(
        CLUSTER_ROLE_BINDINGS,
        "rbac",
        default=_default_binding,
        validate=_validate_binding,
        name_rule="path",
    ),
)
