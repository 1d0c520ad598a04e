"""The kinds of role-based access control: their defaults and what makes them valid."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import form, placed
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.names import subdomain_problem
from tidegate.apiserver.values import objects, section
from tidegate.kube.objects import Object
from tidegate.kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES

_RBAC = "rbac.authorization.k8s.io"


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


ROLE_KINDS = (
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
