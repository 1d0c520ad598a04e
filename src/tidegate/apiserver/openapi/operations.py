"""The operations of a kind as OpenAPI v3 paths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidegate.apiserver.registry.spec import KindSpec
from tidegate.kube.client import PatchType

_REF = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"

_Operation = dict[str, Any]


def _parameter(name: str, kind: str, description: str, *, place: str = "query") -> dict[str, Any]:
    parameter: dict[str, Any] = {
        "name": name,
        "in": place,
        "description": description,
        "schema": {"type": kind, "uniqueItems": True},
    }
    if place == "path":
        parameter["required"] = True
    return parameter


_PRETTY = _parameter("pretty", "string", "If 'true', the output is indented.")
_NAMESPACE = _parameter("namespace", "string", "The namespace.", place="path")
_NAME = _parameter("name", "string", "The name of the object.", place="path")
_DRY_RUN = _parameter("dryRun", "string", "'All': do everything but store.")
_MANAGER = _parameter("fieldManager", "string", "Under which name the fields set are recorded.")
_VALIDATION = _parameter(
    "fieldValidation",
    "string",
    "What becomes of unknown and duplicate fields: Ignore, Warn or Strict.",
)
_FORCE = _parameter("force", "boolean", "Apply takes fields over from other managers.")
_SELECTION = (
    _parameter("continue", "string", "The token of the page before."),
    _parameter("fieldSelector", "string", "Restrict by fields."),
    _parameter("labelSelector", "string", "Restrict by labels."),
    _parameter("limit", "integer", "Items per page."),
    _parameter("resourceVersion", "string", "What version to read, or to watch from."),
    _parameter("resourceVersionMatch", "string", "How resourceVersion is meant."),
    _parameter("timeoutSeconds", "integer", "How long a list or watch may take."),
)
_WATCHING = (
    _parameter("allowWatchBookmarks", "boolean", "Send bookmarks."),
    _parameter("sendInitialEvents", "boolean", "Begin a watch with all that is there."),
    _parameter("watch", "boolean", "Follow changes."),
)
_DELETION = (
    _parameter("gracePeriodSeconds", "integer", "Seconds before the object is deleted."),
    _parameter("propagationPolicy", "string", "Orphan, Background or Foreground."),
)
_WRITING = (_DRY_RUN, _MANAGER, _VALIDATION)


def item_paths(
    spec: KindSpec, subresources: Iterable[tuple[str, str, tuple[str, ...]]]
) -> dict[str, Any]:
    """All paths of a kind, with the operations that its verbs allow."""
    resource = spec.resource
    scope = (_NAMESPACE,) if resource.namespaced else ()
    namespace = "{namespace}" if resource.namespaced else None
    collection = resource.path(namespace)
    item = f"{collection}/{{name}}"
    paths: dict[str, Any] = {}
    _add(paths, collection, _collection_operations(spec), scope)
    _add(paths, item, _item_operations(spec), (*scope, _NAME))
    if resource.namespaced and "list" in spec.verbs:
        _add(paths, resource.path(), {"get": _list_operation(spec, "ForAllNamespaces")}, ())
    for name, _, verbs in subresources:
        operations = _subresource_operations(spec, name, verbs)
        _add(paths, f"{item}/{name}", operations, (*scope, _NAME))
    return paths


def _add(
    paths: dict[str, Any],
    path: str,
    operations: dict[str, _Operation],
    parameters: tuple[dict[str, Any], ...],
) -> None:
    if operations:
        paths[path] = {**operations, "parameters": [*parameters, _PRETTY]}


def _collection_operations(spec: KindSpec) -> dict[str, _Operation]:
    operations: dict[str, _Operation] = {}
    if "list" in spec.verbs:
        operations["get"] = _list_operation(spec, "")
    if "create" in spec.verbs:
        operations["post"] = _operation(spec, "post", "create", _WRITING, body=True)
    if "deletecollection" in spec.verbs:
        operations["delete"] = _operation(
            spec, "deletecollection", "deleteCollection", (*_SELECTION, *_DELETION, _DRY_RUN)
        )
    return operations


def _item_operations(spec: KindSpec) -> dict[str, _Operation]:
    operations: dict[str, _Operation] = {}
    if "get" in spec.verbs:
        operations["get"] = _operation(spec, "get", "read", ())
    if "update" in spec.verbs:
        operations["put"] = _operation(spec, "put", "replace", _WRITING, body=True)
    if "patch" in spec.verbs:
        operations["patch"] = _patch_operation(spec, "")
    if "delete" in spec.verbs:
        operations["delete"] = _operation(spec, "delete", "delete", (*_DELETION, _DRY_RUN))
    return operations


def _subresource_operations(
    spec: KindSpec, name: str, verbs: tuple[str, ...]
) -> dict[str, _Operation]:
    operations: dict[str, _Operation] = {}
    suffix = name.capitalize()
    if "get" in verbs:
        operations["get"] = _operation(spec, "get", "read", (), suffix=suffix)
    if "create" in verbs:
        operations["post"] = _operation(spec, "post", "create", _WRITING, suffix=suffix)
    if "update" in verbs:
        operations["put"] = _operation(spec, "put", "replace", _WRITING, suffix=suffix)
    if "patch" in verbs:
        operations["patch"] = _patch_operation(spec, suffix)
    return operations


def _list_operation(spec: KindSpec, suffix: str) -> _Operation:
    operation = _operation(spec, "list", "list", (*_SELECTION, *_WATCHING), suffix=suffix)
    operation["responses"] = _responses(f"{spec.schema_name}List")
    return operation


def _patch_operation(spec: KindSpec, suffix: str) -> _Operation:
    operation = _operation(spec, "patch", "patch", (*_WRITING, _FORCE), suffix=suffix)
    types = [t for t in PatchType if spec.strategic or t is not PatchType.STRATEGIC]
    operation["requestBody"] = {
        "required": True,
        "content": {t.value: {"schema": {"type": "object"}} for t in types},
    }
    return operation


def _operation(
    spec: KindSpec,
    action: str,
    verb: str,
    parameters: Iterable[dict[str, Any]],
    *,
    body: bool = False,
    suffix: str = "",
) -> _Operation:
    resource = spec.resource
    scope = "Namespaced" if resource.namespaced and suffix != "ForAllNamespaces" else ""
    group = "".join(part.capitalize() for part in (resource.group or "core").split("."))
    name = f"{group}{resource.version.capitalize()}{scope}{resource.kind}{suffix}"
    operation: _Operation = {
        "description": f"{verb} {resource.kind}",
        "operationId": f"{verb}{name}",
        "tags": [f"{resource.group or 'core'}_{resource.version}"],
        "parameters": list(parameters),
        "responses": _responses(spec.schema_name),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "kind": resource.kind,
            "version": resource.version,
        },
    }
    if body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REF + spec.schema_name}}},
        }
    return operation


def _responses(schema_name: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF + schema_name}}}
    return {
        "200": {"description": "OK", "content": content},
        "401": {"description": "Unauthorized"},
    }
