"""All built-in schemas, by name."""

from __future__ import annotations

from functools import cache

from tidegate.apiserver.registry.schemas import (
    apiextensions,
    apps,
    batch,
    core,
    meta,
    metrics,
    networking,
    pods,
    rbac,
    reviews,
)
from tidegate.apiserver.registry.schemas.dsl import (
    COMMON_DEFINITIONS,
    REF,
    Schema,
    parse_types,
)

_PREFIXES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "core": "io.k8s.api.core.v1",
    "apps": "io.k8s.api.apps.v1",
    "autoscaling": "io.k8s.api.autoscaling.v1",
    "batch": "io.k8s.api.batch.v1",
    "networking": "io.k8s.api.networking.v1",
    "discovery": "io.k8s.api.discovery.v1",
    "coordination": "io.k8s.api.coordination.v1",
    "scheduling": "io.k8s.api.scheduling.v1",
    "rbac": "io.k8s.api.rbac.v1",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "authentication": "io.k8s.api.authentication.v1",
    "authorization": "io.k8s.api.authorization.v1",
    "metrics": "io.k8s.metrics.pkg.apis.metrics.v1beta1",
    "events": "io.k8s.api.events.v1",
    "policy": "io.k8s.api.policy.v1",
}
_TEXTS = (
    ("meta", meta.META),
    ("core", core.CORE),
    ("core", pods.PODS),
    ("core", pods.VOLUMES),
    ("events", core.EVENTS),
    ("apps", apps.APPS),
    ("autoscaling", apps.AUTOSCALING),
    ("batch", batch.BATCH),
    ("networking", networking.NETWORKING),
    ("discovery", networking.DISCOVERY),
    ("coordination", networking.COORDINATION),
    ("scheduling", pods.SCHEDULING),
    ("rbac", rbac.RBAC),
    ("apiextensions", apiextensions.APIEXTENSIONS),
    ("authentication", reviews.AUTHENTICATION),
    ("authorization", reviews.AUTHORIZATION),
    ("metrics", metrics.METRICS),
    ("policy", reviews.POLICY),
)

OBJECT_META = f"{_PREFIXES['meta']}.ObjectMeta"


@cache
def builtin_definitions() -> dict[str, Schema]:
    """The named schemas of all built-in types."""
    definitions = dict(COMMON_DEFINITIONS)
    for group, text in _TEXTS:
        definitions.update(parse_types(_PREFIXES[group], text, _PREFIXES))
    return definitions


def schema_name(group: str, kind: str) -> str:
    """The name of a built-in type; `group` is its short name, such as `core`."""
    return f"{_PREFIXES[group]}.{kind}"


def reference(name: str) -> Schema:
    """A schema that stands for a named one."""
    return {"$ref": REF + name}
