"""The sections of Knative's settings, one for each ConfigMap, with Knative's defaults.

`config-autoscaler` has its own module, `autoscaler_config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SECURE_PODS = "secure-pod-defaults"


@dataclass(frozen=True)
class Defaults:
    """`config-defaults`; resources are None where the operator sets none."""

    revision_timeout_seconds: int = 300
    max_revision_timeout_seconds: int = 600
    revision_response_start_timeout_seconds: int = 300
    revision_idle_timeout_seconds: int = 0
    revision_cpu_request: str | None = None
    revision_memory_request: str | None = None
    revision_ephemeral_storage_request: str | None = None
    revision_cpu_limit: str | None = None
    revision_memory_limit: str | None = None
    revision_ephemeral_storage_limit: str | None = None
    container_name_template: str = "user-container"
    init_container_name_template: str = "init-container"
    container_concurrency: int = 0
    container_concurrency_max_limit: int = 1000
    allow_container_concurrency_zero: bool = True
    enable_service_links: bool = False


@dataclass(frozen=True)
class Features:
    """`config-features`: flags that differ from their defaults, by key, lower case."""

    flags: Mapping[str, str] = field(default_factory=dict[str, str])

    _ENABLED = frozenset({"multi-container", "kubernetes.podspec-volumes-emptydir"})

    @property
    def secure_pods(self) -> str:
        """`secure-pod-defaults`: disabled, allowrootbounded, or enabled."""
        return self.flags.get(SECURE_PODS, "disabled")

    def is_enabled(self, flag: str) -> bool:
        default = "enabled" if flag in self._ENABLED else "disabled"
        return self.flags.get(flag, default) == "enabled"

    def is_allowed(self, flag: str) -> bool:
        """Whether users may use the feature, be it on by default or not."""
        return self.is_enabled(flag) or self.flags.get(flag) == "allowed"


@dataclass(frozen=True)
class Network:
    """`config-network`; an empty `ingress_class` leaves the choice to the composition."""

    ingress_class: str = ""
    domain_template: str = "{{.Name}}.{{.Namespace}}.{{.Domain}}"
    tag_template: str = "{{.Tag}}-{{.Name}}"
    rollout_duration: int = 0
    autocreate_cluster_domain_claims: bool = False
    default_external_scheme: str = "http"
    http_protocol: str = "Enabled"
    external_domain_tls: bool = False


@dataclass(frozen=True)
class Domain:
    """One entry of `config-domain`: used for Routes whose labels match; none matches all."""

    name: str
    selector: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class GarbageCollection:
    """`config-gc`: seconds and counts, None where disabled."""

    retain_since_create_time: int | None = 48 * 3600
    retain_since_last_active_time: int | None = 15 * 3600
    min_non_active_revisions: int = 20
    max_non_active_revisions: int | None = 1000


@dataclass(frozen=True)
class Deployment:
    """`config-deployment`, as far as it means something without a sidecar."""

    progress_deadline: int = 600
    pod_is_always_schedulable: bool = False
    digest_resolution_timeout: int = 10
    registries_skipping_tag_resolving: frozenset[str] = frozenset(
        {"kind.local", "ko.local", "dev.local"}
    )
