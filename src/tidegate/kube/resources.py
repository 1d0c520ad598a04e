"""The built-in resources that Tidegate's parts work with: group, version, names and scope.

Knative's own are declared in `tidegate.apis`; custom ones come from their definitions at run time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """A kind as the API serves it.

    Attributes:
        group: API group, empty for core.
        version: e.g. `v1`.
        kind: e.g. `Pod`.
        plural: the path segment, e.g. `pods`.
        namespaced: whether objects live in a namespace.
        short_names: what kubectl accepts besides the plural.
        categories: what `kubectl get all` and friends expand to.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`group/version`, or `version` alone for core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def qualified(self) -> str:
        """`plural.group`, or the plural alone for core."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The URL path under the API's root."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"


NAMESPACES = Resource("", "v1", "Namespace", "namespaces", False, ("ns",))
PODS = Resource("", "v1", "Pod", "pods", True, ("po",), ("all",))
SERVICES = Resource("", "v1", "Service", "services", True, ("svc",), ("all",))
ENDPOINTS = Resource("", "v1", "Endpoints", "endpoints", True, ("ep",))
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", True, ("cm",))
SECRETS = Resource("", "v1", "Secret", "secrets", True)
SERVICE_ACCOUNTS = Resource("", "v1", "ServiceAccount", "serviceaccounts", True, ("sa",))
EVENTS = Resource("", "v1", "Event", "events", True, ("ev",))
NODES = Resource("", "v1", "Node", "nodes", False, ("no",))
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", True, ("deploy",), ("all",))
REPLICA_SETS = Resource("apps", "v1", "ReplicaSet", "replicasets", True, ("rs",), ("all",))
JOBS = Resource("batch", "v1", "Job", "jobs", True, (), ("all",))
INGRESSES = Resource("networking.k8s.io", "v1", "Ingress", "ingresses", True, ("ing",))
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")
PRIORITY_CLASSES = Resource(
    "scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False, ("pc",)
)

NODE_METRICS = Resource("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", False)
POD_METRICS = Resource("metrics.k8s.io", "v1beta1", "PodMetrics", "pods")

_RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(_RBAC, "v1", "Role", "roles")
ROLE_BINDINGS = Resource(_RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLES = Resource(_RBAC, "v1", "ClusterRole", "clusterroles", False)
CLUSTER_ROLE_BINDINGS = Resource(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", False)

CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    False,
    ("crd", "crds"),
    ("api-extensions",),
)
