"""OpenAPI v2: the v3 documents folded into the one document that older clients ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from tidegate.apiserver.discovery import version_document

_V3_REF = "#/components/schemas/"
_V2_REF = "#/definitions/"
# What v2 cannot say is left out, which allows more, never less.
_V3_ONLY = frozenset(("nullable", "oneOf", "anyOf", "not", "default"))
_METHODS = ("get", "put", "post", "delete", "patch")


def document(documents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One v2 document from the v3 documents of all groups."""
    paths: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for source in documents:
        for path, item in source["paths"].items():
            paths[path] = _path(item)
        for name, schema in source["components"]["schemas"].items():
            if name not in definitions:
                definitions[name] = _schema(schema)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": version_document()["gitVersion"]},
        "paths": paths,
        "definitions": definitions,
    }


def _path(item: dict[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {
        method: _operation(item[method]) for method in _METHODS if method in item
    }
    converted["parameters"] = [_parameter(p) for p in item.get("parameters") or ()]
    return converted


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in operation.items() if k not in ("requestBody", "responses")}
    kept["parameters"] = [_parameter(p) for p in operation.get("parameters") or ()]
    kept["produces"] = ["application/json"]
    body = operation.get("requestBody")
    if body:
        content: dict[str, Any] = body["content"]
        kept["consumes"] = list(content)
        schema = _schema(next(iter(content.values()))["schema"])
        kept["parameters"].append(
            {"name": "body", "in": "body", "required": True, "schema": schema}
        )
    kept["responses"] = {
        code: _response(response) for code, response in operation["responses"].items()
    }
    return kept


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    flat = {k: v for k, v in parameter.items() if k != "schema"}
    return {**flat, **parameter["schema"]}


def _response(response: dict[str, Any]) -> dict[str, Any]:
    converted = {"description": response["description"]}
    content = response.get("content")
    if content:
        converted["schema"] = _schema(content["application/json"]["schema"])
    return converted


def _schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_schema(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    schema = cast("dict[str, Any]", value)
    if "$ref" in schema:
        return {"$ref": str(schema["$ref"]).replace(_V3_REF, _V2_REF)}
    converted: dict[str, Any] = {}
    for name, item in schema.items():
        if name == "properties":
            converted[name] = {k: _schema(v) for k, v in item.items()}
        elif name == "allOf" and len(item) == 1:
            converted.update(_schema(item[0]))
        elif name not in _V3_ONLY:
            converted[name] = _schema(item)
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        converted["type"] = "string"
        converted["format"] = "int-or-string"
    return converted
