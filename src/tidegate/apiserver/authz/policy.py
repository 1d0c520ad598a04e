"""The roles and bindings that are there from the start.

Kubernetes' own user-facing roles under their own names, and for each part of Tidegate a role with
no more than it needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.apiserver.authn.identities import (
    ACCOUNTS,
    AUTHENTICATED,
    MASTERS,
    MONITORING,
    NODES,
    UNAUTHENTICATED,
)
from tidegate.kube.objects import Object

_RBAC = "rbac.authorization.k8s.io"
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_AUTOUPDATE = {AUTOUPDATE: "true"}
_BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_CHANGE = ("patch", "update")
_EVERY = (*_READ, *_WRITE)

_KNATIVE = (
    "serving.knative.dev",
    "autoscaling.internal.knative.dev",
    "networking.internal.knative.dev",
)


@dataclass(frozen=True)
class Subject:
    """Who a role is bound to; `namespace` only for service accounts."""

    kind: str
    name: str
    namespace: str = ""

    def to_object(self) -> Object:
        if self.kind == "ServiceAccount":
            return {"kind": self.kind, "name": self.name, "namespace": self.namespace}
        return {"kind": self.kind, "apiGroup": _RBAC, "name": self.name}


def cluster_roles() -> list[Object]:
    """Every ClusterRole, with `rules` or an `aggregationRule`."""
    return [*_general_roles(), *_user_facing_roles(), *_part_roles()]


def cluster_role_bindings(node: str) -> list[Object]:
    """Every ClusterRoleBinding; `node` is the name of the node."""
    return [
        _binding("cluster-admin", "cluster-admin", Subject("Group", MASTERS)),
        _binding("system:discovery", "system:discovery", Subject("Group", AUTHENTICATED)),
        _binding("system:basic-user", "system:basic-user", Subject("Group", AUTHENTICATED)),
        _binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            Subject("Group", AUTHENTICATED),
            Subject("Group", UNAUTHENTICATED),
        ),
        _binding("system:monitoring", "system:monitoring", Subject("Group", MONITORING)),
        _binding(
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            Subject("Group", ACCOUNTS),
        ),
        _binding(
            "system:kube-controller-manager",
            "system:kube-controller-manager",
            Subject("User", "system:kube-controller-manager"),
        ),
        _binding(
            "system:node",
            "system:node",
            Subject("User", f"system:node:{node}"),
            Subject("Group", NODES),
        ),
        _binding(
            "knative-serving-controller", "knative-serving-controller", _account("controller")
        ),
        _binding(
            "knative-serving-autoscaler", "knative-serving-autoscaler", _account("autoscaler")
        ),
        _binding("tidegate:gateway", "tidegate:gateway", _account("gateway", "tidegate-system")),
        _binding("tidegate:console", "tidegate:console", _account("console", "tidegate-system")),
    ]


def service_accounts() -> list[Object]:
    """The accounts of Tidegate's parts."""
    names = (
        ("knative-serving", "controller"),
        ("knative-serving", "autoscaler"),
        ("tidegate-system", "gateway"),
        ("tidegate-system", "console"),
    )
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        }
        for namespace, name in names
    ]


def _general_roles() -> Iterable[Object]:
    yield _role("cluster-admin", _rule(("*",), ("*",), ("*",)), _paths("*", verbs=("*",)))
    yield _role(
        "system:discovery",
        _paths(
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/",
        ),
    )
    yield _role(
        "system:basic-user",
        _rule(
            ("authorization.k8s.io",),
            ("selfsubjectaccessreviews", "selfsubjectrulesreviews"),
            ("create",),
        ),
        _rule(("authentication.k8s.io",), ("selfsubjectreviews",), ("create",)),
    )
    yield _role(
        "system:public-info-viewer",
        _paths("/healthz", "/livez", "/readyz", "/version", "/version/"),
    )
    yield _role(
        "system:service-account-issuer-discovery",
        _paths("/.well-known/openid-configuration", "/openid/v1/jwks", "/openid/v1/jwks/"),
    )
    health = (path for check in ("/healthz", "/livez", "/readyz") for path in (check, f"{check}/*"))
    yield _role("system:monitoring", _paths("/metrics", *health))
    yield _role(
        "system:auth-delegator",
        _rule(("authentication.k8s.io",), ("tokenreviews",), ("create",)),
        _rule(("authorization.k8s.io",), ("subjectaccessreviews",), ("create",)),
    )


def _user_facing_roles() -> Iterable[Object]:
    for name, sources in (
        ("admin", ("admin", "edit", "view")),
        ("edit", ("edit", "view")),
        ("view", ("view",)),
    ):
        role = _role(name)
        role["aggregationRule"] = {
            "clusterRoleSelectors": [
                {"matchLabels": {f"{_RBAC}/aggregate-to-{source}": "true"}} for source in sources
            ]
        }
        yield role
    yield _aggregate_to(
        "view",
        _rule(
            ("",),
            (
                "configmaps",
                "endpoints",
                "events",
                "namespaces",
                "namespaces/status",
                "pods",
                "pods/log",
                "pods/status",
                "serviceaccounts",
                "services",
                "services/status",
            ),
            _READ,
        ),
        _rule(("apps",), _with_parts("deployments", "replicasets"), _READ),
        _rule(("batch",), ("jobs", "jobs/status"), _READ),
        _rule(("events.k8s.io",), ("events",), _READ),
        _rule(("networking.k8s.io",), ("ingresses", "ingresses/status"), _READ),
        _rule(("discovery.k8s.io",), ("endpointslices",), _READ),
        _rule(_KNATIVE, ("*",), _READ),
    )
    metrics = _role(
        "system:aggregated-metrics-reader",
        _rule(("metrics.k8s.io",), ("pods", "nodes"), _READ),
    )
    for role in ("view", "edit", "admin"):
        metrics["metadata"]["labels"][f"{_RBAC}/aggregate-to-{role}"] = "true"
    yield metrics
    yield _aggregate_to(
        "edit",
        _rule(("",), ("secrets",), _READ),
        _rule(
            ("",),
            ("configmaps", "endpoints", "events", "pods", "secrets", "serviceaccounts", "services"),
            _WRITE,
        ),
        _rule(("",), ("pods/exec", "pods/attach", "pods/portforward"), ("create", "get")),
        _rule(("",), ("pods/eviction", "serviceaccounts/token"), ("create",)),
        _rule(("",), ("serviceaccounts",), ("impersonate",)),
        _rule(
            ("apps",),
            ("deployments", "deployments/scale", "replicasets", "replicasets/scale"),
            _WRITE,
        ),
        _rule(("batch",), ("jobs",), _WRITE),
        _rule(("networking.k8s.io",), ("ingresses",), _WRITE),
        _rule(("coordination.k8s.io",), ("leases",), _EVERY),
        _rule(_KNATIVE, ("*",), _WRITE),
    )
    yield _aggregate_to(
        "admin",
        _rule((_RBAC,), ("roles", "rolebindings"), _EVERY),
        _rule(("authorization.k8s.io",), ("localsubjectaccessreviews",), ("create",)),
    )


def _part_roles() -> Iterable[Object]:
    events = _rule(("", "events.k8s.io"), ("events",), ("create", "get", *_CHANGE))
    leases = _rule(("coordination.k8s.io",), ("leases",), _EVERY)
    yield _role(
        "system:kube-controller-manager",
        # Owner references may name, and namespaces may hold, objects of any kind.
        _rule(("*",), ("*",), (*_READ, "delete", "deletecollection", *_CHANGE)),
        _rule(("",), ("configmaps", "endpoints", "events", "pods", "serviceaccounts"), ("create",)),
        _rule(("apps",), ("replicasets",), ("create",)),
        _rule(("batch",), ("jobs",), ("create",)),
        _rule(("discovery.k8s.io",), ("endpointslices",), ("create",)),
        leases,
    )
    yield _role(
        "system:node",
        _rule(("",), ("nodes",), ("create", *_READ, *_CHANGE)),
        _rule(("",), ("nodes/status", "pods/status", "services/status"), _CHANGE),
        _rule(("",), ("pods",), ("delete", *_READ, *_CHANGE)),
        _rule(("",), ("pods/binding", "serviceaccounts/token"), ("create",)),
        _rule(("",), ("configmaps", "namespaces", "secrets", "serviceaccounts", "services"), _READ),
        _rule(("discovery.k8s.io",), ("endpointslices",), _READ),
        events,
        leases,
    )
    yield _role(
        "knative-serving-controller",
        _rule(("",), ("configmaps", "endpoints", "secrets", "services"), _EVERY),
        _rule(("",), ("services/status",), _CHANGE),
        _rule(("",), ("namespaces", "nodes", "pods", "serviceaccounts"), _READ),
        _rule(("apps",), ("deployments", "deployments/scale"), _EVERY),
        _rule(("apps",), ("replicasets",), _READ),
        _rule(("discovery.k8s.io",), ("endpointslices",), _READ),
        _rule(("networking.k8s.io",), ("ingresses", "ingresses/status"), _EVERY),
        _rule(_KNATIVE, ("*",), _EVERY),
        events,
        leases,
    )
    yield _role(
        "knative-serving-autoscaler",
        _rule(("",), ("configmaps", "namespaces", "services"), _READ),
        _rule(("",), ("pods",), ("patch", *_READ)),
        _rule(("apps",), ("deployments",), (*_READ, *_CHANGE)),
        _rule(("apps",), ("deployments/scale",), ("get", *_CHANGE)),
        _rule(("apps",), ("replicasets",), _READ),
        _rule(("discovery.k8s.io",), ("endpointslices",), _READ),
        _rule(("metrics.k8s.io",), ("pods",), ("get", "list")),
        _rule(("autoscaling.internal.knative.dev",), ("*",), (*_READ, *_CHANGE)),
        _rule(("serving.knative.dev",), ("*",), _READ),
        events,
        leases,
    )
    yield _role(
        "tidegate:gateway",
        _rule(("",), ("configmaps", "namespaces", "secrets", "services"), _READ),
        _rule(("",), ("pods",), ("patch", *_READ)),
        _rule(("discovery.k8s.io",), ("endpointslices",), _READ),
        _rule(("serving.knative.dev",), ("*",), _READ),
        _rule(("networking.internal.knative.dev", "networking.k8s.io"), ("ingresses",), _READ),
        _rule(
            ("networking.internal.knative.dev", "networking.k8s.io"),
            ("ingresses/status",),
            ("get", *_CHANGE),
        ),
        events,
        leases,
    )
    yield _role(
        "tidegate:console",
        _rule(
            ("",),
            (
                "configmaps",
                "endpoints",
                "events",
                "namespaces",
                "nodes",
                "pods",
                "pods/log",
                "serviceaccounts",
                "services",
            ),
            _READ,
        ),
        _rule(("apps",), ("deployments", "replicasets"), _READ),
        _rule(("networking.k8s.io",), ("ingresses",), _READ),
        _rule(("discovery.k8s.io",), ("endpointslices",), _READ),
        _rule(_KNATIVE, ("*",), _READ),
        _rule(("serving.knative.dev",), ("services", "domainmappings"), _WRITE),
    )


def _role(name: str, *rules: Object) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": name,
            "labels": dict(_BOOTSTRAPPING),
            "annotations": dict(_AUTOUPDATE),
        },
        "rules": list(rules),
    }


def _aggregate_to(role: str, *rules: Object) -> Object:
    part = _role(f"system:aggregate-to-{role}", *rules)
    part["metadata"]["labels"][f"{_RBAC}/aggregate-to-{role}"] = "true"
    return part


def _binding(name: str, role: str, *subjects: Subject) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {
            "name": name,
            "labels": dict(_BOOTSTRAPPING),
            "annotations": dict(_AUTOUPDATE),
        },
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject.to_object() for subject in subjects],
    }


def _account(name: str, namespace: str = "knative-serving") -> Subject:
    return Subject("ServiceAccount", name, namespace)


def _rule(groups: Iterable[str], resources: Iterable[str], verbs: Iterable[str]) -> Object:
    return {
        "apiGroups": list(groups),
        "resources": list(resources),
        "verbs": sorted(set(verbs)),
    }


def _paths(*paths: str, verbs: tuple[str, ...] = ("get",)) -> Object:
    return {"nonResourceURLs": list(paths), "verbs": list(verbs)}


def _with_parts(*plurals: str) -> list[str]:
    return [f"{plural}{part}" for plural in plurals for part in ("", "/scale", "/status")]
