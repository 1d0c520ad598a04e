"""The set of kinds served now; custom ones come and go at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tidegate.apiserver.refusals import no_such_resource
from tidegate.apiserver.registry.navigation import Place, root_place
from tidegate.apiserver.registry.spec import KindSpec, Schema
from tidegate.kube.resources import Resource

Listener = Callable[[], None]


class Registry:
    """Kinds by (group, version, plural).

    Args:
        specs: the kinds served from the start.
        definitions: the named schemas that the specs' schemas refer to.
    """

    def __init__(
        self, specs: Iterable[KindSpec] = (), definitions: dict[str, Schema] | None = None
    ) -> None:
        self._definitions = definitions or {}
        self._specs: dict[tuple[str, str, str], KindSpec] = {}
        self._schemas: dict[tuple[str, str, str], Schema] = {}
        self._places: dict[tuple[str, str, str], Place] = {}
        self._listeners: list[Listener] = []
        self.generation = 0
        for spec in specs:
            self.add(spec)

    @property
    def definitions(self) -> dict[str, Schema]:
        """Named schemas, referred to as `#/components/schemas/NAME`; not to be changed."""
        return self._definitions

    def add(self, spec: KindSpec) -> None:
        """Serve a kind, or serve it anew."""
        key = _key(spec.resource)
        self._specs[key] = spec
        self._changed(key)

    def remove(self, resource: Resource) -> None:
        """Serve a kind no longer."""
        key = _key(resource)
        self._specs.pop(key, None)
        self._changed(key)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` after every change; `generation` has gone up."""
        self._listeners.append(listener)

    def specs(self) -> list[KindSpec]:
        """All kinds at all versions, in the order in which they were added."""
        return list(self._specs.values())

    def find(self, group: str, version: str, plural: str) -> KindSpec | None:
        """The kind behind a URL, or None."""
        return self._specs.get((group, version, plural))

    def find_kind(self, api_version: str, kind: str) -> KindSpec | None:
        """The kind an object names, or None."""
        for spec in self._specs.values():
            if spec.resource.kind == kind and spec.resource.api_version == api_version:
                return spec
        return None

    def of(self, resource: Resource) -> KindSpec:
        """The spec of a resource. Raises NotFound when it is not served."""
        spec = self._specs.get(_key(resource))
        if spec is None:
            raise no_such_resource()
        return spec

    def schema(self, spec: KindSpec) -> Schema:
        """The OpenAPI v3 schema of a kind, made once."""
        key = _key(spec.resource)
        found = self._schemas.get(key)
        if found is None:
            found = self._schemas[key] = spec.schema()
        return found

    def place(self, spec: KindSpec) -> Place:
        """Where a walk down the schema of a kind begins, made once."""
        key = _key(spec.resource)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = root_place(self.schema(spec), self.resolve)
        return found

    def resolve(self, schema: Schema) -> Schema:
        """What a schema with a `$ref` refers to; others are returned as they are."""
        reference: Any = schema.get("$ref")
        while reference:
            schema = self._definitions[str(reference).rpartition("/")[2]]
            reference = schema.get("$ref")
        return schema

    def _changed(self, key: tuple[str, str, str]) -> None:
        self._schemas.pop(key, None)
        self._places.pop(key, None)
        self.generation += 1
        for listener in self._listeners:
            listener()


def _key(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural
