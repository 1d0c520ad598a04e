"""OpenAPI v3: one document per group and version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from tidegate.apiserver.discovery import subresources_of, version_document
from tidegate.apiserver.openapi.operations import item_paths
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import KindSpec, Schema

_REF = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_OBJECT_META = f"{_META}.ObjectMeta"
_LIST_META = f"{_META}.ListMeta"
_SHARED = (_OBJECT_META, _LIST_META, f"{_META}.DeleteOptions", f"{_META}.Status")


def group_versions(registry: Registry) -> dict[str, list[KindSpec]]:
    """The kinds by the path of their group and version, e.g. `apis/apps/v1`."""
    found: dict[str, list[KindSpec]] = {}
    for spec in registry.specs():
        resource = spec.resource
        root = f"apis/{resource.group}" if resource.group else "api"
        found.setdefault(f"{root}/{resource.version}", []).append(spec)
    return found


def document(registry: Registry, specs: Iterable[KindSpec]) -> dict[str, Any]:
    """The document of the kinds of one group and version."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Schema] = {}
    for spec in specs:
        paths.update(item_paths(spec, subresources_of(spec)))
        schemas[spec.schema_name] = _kind_schema(registry, spec)
        schemas.setdefault(f"{spec.schema_name}List", _list_schema(spec))
    wanted = [*_SHARED, *_references(schemas), *_references(paths)]
    _add_referenced(registry, schemas, wanted)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version_document()["gitVersion"]},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _kind_schema(registry: Registry, spec: KindSpec) -> Schema:
    resource = spec.resource
    schema = dict(registry.resolve(registry.schema(spec)))
    properties: dict[str, Schema] = dict(schema.get("properties") or {})
    properties.setdefault("apiVersion", {"type": "string"})
    properties.setdefault("kind", {"type": "string"})
    metadata = properties.get("metadata") or {}
    if not metadata.get("properties") and "allOf" not in metadata and "$ref" not in metadata:
        properties["metadata"] = {
            "description": "Name, labels, annotations, owners and the like.",
            "allOf": [{"$ref": _REF + _OBJECT_META}],
        }
    schema["type"] = "object"
    schema["properties"] = properties
    schema["x-kubernetes-group-version-kind"] = [
        {"group": resource.group, "kind": resource.kind, "version": resource.version}
    ]
    return schema


def _list_schema(spec: KindSpec) -> Schema:
    resource = spec.resource
    return {
        "type": "object",
        "description": f"{resource.list_kind} is a list of {resource.kind}.",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": _REF + _LIST_META}]},
            "items": {"type": "array", "items": {"$ref": _REF + spec.schema_name}},
        },
        "x-kubernetes-group-version-kind": [
            {"group": resource.group, "kind": resource.list_kind, "version": resource.version}
        ],
    }


def _add_referenced(registry: Registry, schemas: dict[str, Schema], names: list[str]) -> None:
    while names:
        name = names.pop()
        definition = registry.definitions.get(name)
        if name in schemas or definition is None:
            continue
        schemas[name] = definition
        names.extend(_references(definition))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            if name == "$ref" and isinstance(item, str):
                yield item.rpartition("/")[2]
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _references(item)
