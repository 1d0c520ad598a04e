"""Walking down a schema beside an object: what the schema says of a field and how it merges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.schemas.builtin import OBJECT_META, reference
from tidegate.apiserver.registry.spec import KindSpec, Schema
from tidegate.apiserver.values import mapping, strings


@dataclass(frozen=True)
class Place:
    """A spot in a schema; where the schema says nothing, an empty one.

    Attributes:
        declared: what the field itself says, its merge attributes among it.
        schema: the same with references followed.
    """

    registry: Registry
    declared: Schema
    schema: Schema

    def field(self, name: str) -> Place:
        """Of a mapping, the place of one of its fields or values."""
        properties = mapping(self.schema.get("properties"))
        if name in properties:
            return place(self.registry, mapping(properties[name]))
        return place(self.registry, mapping(self.schema.get("additionalProperties")))

    def item(self) -> Place:
        """Of a list, the place of its items."""
        return place(self.registry, mapping(self.schema.get("items")))

    @property
    def merge_key(self) -> str:
        """The key by which strategic merge matches items; empty when there is none."""
        return str(self._attribute("x-kubernetes-patch-merge-key") or "")

    @property
    def merges(self) -> bool:
        """Whether strategic merge merges the list instead of replacing it."""
        strategy = str(self._attribute("x-kubernetes-patch-strategy") or "")
        return "merge" in strategy.split(",")

    @property
    def list_type(self) -> str:
        """For server-side apply: `map`, `set` or `atomic`."""
        return str(self._attribute("x-kubernetes-list-type") or "atomic")

    @property
    def map_is_atomic(self) -> bool:
        """For server-side apply: whether a mapping is one value."""
        return self._attribute("x-kubernetes-map-type") == "atomic"

    @property
    def list_keys(self) -> list[str]:
        """For server-side apply: the keys of a list of type `map`."""
        return strings(self._attribute("x-kubernetes-list-map-keys"))

    def _attribute(self, name: str) -> Any:
        return self.declared.get(name) or self.schema.get(name)


def place(registry: Registry, schema: Schema) -> Place:
    """The place of a schema."""
    followed = schema
    while True:
        parts = followed.get("allOf")
        if "$ref" in followed:
            followed = registry.resolve(followed)
        elif parts and len(parts) == 1 and "properties" not in followed:
            followed = mapping(parts[0])
        else:
            return Place(registry, schema, followed)


def root_place(registry: Registry, spec: KindSpec) -> Place:
    """The place of a whole object, whose metadata is that of all kinds."""
    root = place(registry, registry.schema(spec))
    properties = {**mapping(root.schema.get("properties")), "metadata": reference(OBJECT_META)}
    return Place(registry, root.declared, {**root.schema, "properties": properties})
