"""The helper by which every built-in kind is declared."""

from __future__ import annotations

from typing import Any

from tidegate.apiserver.registry.schemas.builtin import reference, schema_name
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.kube.resources import Resource


def builtin(resource: Resource, group: str, **fields: Any) -> KindSpec:
    """A built-in kind, whose schema is the built-in type of its name.

    Args:
        resource: names and scope.
        group: the short name of its schemas' group, e.g. `core`.
        fields: the rest of the KindSpec.
    """
    name = schema_name(group, resource.kind)
    fields.setdefault("unconditional_update", True)
    return KindSpec(
        resource=resource,
        schema=lambda: reference(name),
        schema_name=name,
        strategic=True,
        **fields,
    )
