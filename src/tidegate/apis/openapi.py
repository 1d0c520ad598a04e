"""OpenAPI v3 schemas from the models: references inlined, nothing of pydantic left.

The result is a structural schema as CustomResourceDefinitions need it.
"""

from __future__ import annotations

from typing import Any, cast

from tidegate.apis.types.base import Model

Schema = dict[str, Any]

_KEPT = (
    "type",
    "format",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
)


def object_schema(model: type[Model]) -> Schema:
    """The schema of a whole object of a kind."""
    document = model.model_json_schema(by_alias=True)
    schema = _clean(document, document.get("$defs", {}))
    schema["properties"]["metadata"] = {
        "type": "object",
        "description": schema["properties"]["metadata"]["description"],
    }
    return schema


def _clean(node: Schema, definitions: dict[str, Schema]) -> Schema:
    node = _resolved(node, definitions)
    result: Schema = {}
    if "description" in node:
        result["description"] = " ".join(str(node["description"]).split())
    result.update({key: node[key] for key in _KEPT if key in node})
    if "properties" in node:
        properties = cast("dict[str, Schema]", node["properties"])
        result["properties"] = {
            name: _clean(child, definitions) for name, child in sorted(properties.items())
        }
        if node.get("additionalProperties") is True:
            result["x-kubernetes-preserve-unknown-fields"] = True
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _clean(node["additionalProperties"], definitions)
    if "items" in node:
        result["items"] = _clean(node["items"], definitions)
    return result


def _resolved(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """`node` with its reference followed and its null alternative dropped."""
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        inner = _resolved(choices[0], definitions)
        outer = {key: value for key, value in node.items() if key != "anyOf"}
        return {**inner, **outer}
    if "$ref" in node:
        inner = _resolved(definitions[node["$ref"].rpartition("/")[2]], definitions)
        return {**inner, **{key: value for key, value in node.items() if key != "$ref"}}
    return node
