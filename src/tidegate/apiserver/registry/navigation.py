"""Walking down a schema beside an object: what the schema says of a field and how it merges.

Every request that merges or lists fields takes the same few ways through a schema, so that a place
is made once for each of its spots.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from tidegate.apiserver.registry.schemas.builtin import OBJECT_META, reference
from tidegate.apiserver.registry.spec import Schema
from tidegate.apiserver.values import mapping, strings

Resolve = Callable[[Schema], Schema]


class Place:
    """A spot in a schema; where the schema says nothing, an empty one.

    Args:
        ways: finds the places inside.
        declared: what the field itself says, its merge attributes among it.
        schema: the same with references followed.
    """

    def __init__(self, ways: _Ways, declared: Schema, schema: Schema) -> None:
        self._ways = ways
        self._declared = declared
        self._schema = schema
        self._properties = mapping(schema.get("properties"))

    def field(self, name: str) -> Place:
        """Of a mapping, the place of one of its fields or values."""
        declared = self._properties.get(name)
        return self._value if declared is None else self._ways.to(mapping(declared))

    @cached_property
    def item(self) -> Place:
        """Of a list, the place of its items."""
        return self._ways.to(mapping(self._schema.get("items")))

    @cached_property
    def merge_key(self) -> str:
        """The key by which strategic merge matches items; empty when there is none."""
        return str(self._attribute("x-kubernetes-patch-merge-key") or "")

    @cached_property
    def merges(self) -> bool:
        """Whether strategic merge merges the list instead of replacing it."""
        strategy = str(self._attribute("x-kubernetes-patch-strategy") or "")
        return "merge" in strategy.split(",")

    @cached_property
    def list_type(self) -> str:
        """For server-side apply: `map`, `set` or `atomic`."""
        return str(self._attribute("x-kubernetes-list-type") or "atomic")

    @cached_property
    def map_is_atomic(self) -> bool:
        """For server-side apply: whether a mapping is one value."""
        return self._attribute("x-kubernetes-map-type") == "atomic"

    @cached_property
    def list_keys(self) -> list[str]:
        """For server-side apply: the keys of a list of type `map`."""
        return strings(self._attribute("x-kubernetes-list-map-keys"))

    @cached_property
    def _value(self) -> Place:
        """Of a mapping, the place of the values that have no name of their own."""
        return self._ways.to(mapping(self._schema.get("additionalProperties")))

    def _attribute(self, name: str) -> Any:
        return self._declared.get(name) or self._schema.get(name)


class _Ways:
    """The places of one kind, each made when it is first come to."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        # By identity, for schemas cannot be hashed; a place keeps its own from being replaced.
        self._known: dict[int, Place] = {}
        self._nowhere = Place(self, {}, {})

    def to(self, schema: Schema) -> Place:
        """The place of a schema."""
        if not schema:
            return self._nowhere
        found = self._known.get(id(schema))
        if found is None:
            found = self._known[id(schema)] = Place(self, schema, self.followed(schema))
        return found

    def followed(self, schema: Schema) -> Schema:
        """A schema with its references followed."""
        while True:
            parts = schema.get("allOf")
            if "$ref" in schema:
                schema = self._resolve(schema)
            elif parts and len(parts) == 1 and "properties" not in schema:
                schema = mapping(parts[0])
            else:
                return schema


def root_place(schema: Schema, resolve: Resolve) -> Place:
    """The place of a whole object, whose metadata is that of all kinds.

    Args:
        schema: of the kind.
        resolve: what a schema with a `$ref` refers to.
    """
    ways = _Ways(resolve)
    root = ways.followed(schema)
    properties = {**mapping(root.get("properties")), "metadata": reference(OBJECT_META)}
    return Place(ways, schema, {**root, "properties": properties})
