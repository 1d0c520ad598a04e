"""All kinds the server begins with: Kubernetes' own and Tidegate's."""

from __future__ import annotations

from tidegate.apis.kinds import KindDefinition
from tidegate.apis.registry import KINDS
from tidegate.apiserver.registry.kinds.builtin import BUILTIN_KINDS
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.schemas.builtin import builtin_definitions
from tidegate.apiserver.registry.spec import KindSpec


def default_registry() -> Registry:
    """A registry with every built-in kind."""
    registry = Registry(BUILTIN_KINDS, builtin_definitions())
    for definition in KINDS:
        registry.add(spec_from_definition(definition))
    return registry


def spec_from_definition(definition: KindDefinition) -> KindSpec:
    """One of our own kinds, which bring their admission with them."""
    resource = definition.resource
    return KindSpec(
        resource=resource,
        schema=definition.schema,
        schema_name=f"{schema_group(resource.group)}.{resource.version}.{resource.kind}",
        admit=definition.admit,
        status_subresource=definition.status_subresource,
        generation=True,
        printer_columns=definition.printer_columns,
    )


def schema_group(group: str) -> str:
    """`serving.knative.dev` -> `dev.knative.serving`, as schemas of custom kinds are named."""
    return ".".join(reversed(group.split(".")))
