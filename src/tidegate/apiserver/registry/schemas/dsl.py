"""The notation of the built-in schemas, and its translation to OpenAPI v3.

    Container: One container of a pod.
      name! string # Unique in the pod; a DNS label.
      ports []ContainerPort key=containerPort+protocol

A line without indent opens a type; the lines under it are its fields: name (`!` when required),
type, attributes, and after `#` a description. Types: `string int32 int64 number bool time
microTime quantity intOrString bytes object any`, another type of the same group, one of another
as `meta.ObjectMeta`, `[]T` for lists, `{}T` for maps.

Attributes: `key=K` a list merged by K, in strategic merge and in server-side apply; `key=K+L` the
latter by K and L; `map=K+L` merged in server-side apply only; `set` a list without duplicates,
merged; `atomic` a list replaced as a whole; `retain`, after `key`, strategic merge also drops what
the patch's `$retainKeys` leave out.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

REF = "#/components/schemas/"

_PRIMITIVES: dict[str, Schema] = {
    "string": {"type": "string"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "number": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "object": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "any": {"x-kubernetes-preserve-unknown-fields": True},
}
_NAMED = {
    "time": "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    "microTime": "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "intOrString": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
}
COMMON_DEFINITIONS: dict[str, Schema] = {
    _NAMED["time"]: {"type": "string", "format": "date-time", "description": "RFC 3339."},
    _NAMED["microTime"]: {
        "type": "string",
        "format": "date-time",
        "description": "RFC 3339 with microseconds.",
    },
    _NAMED["quantity"]: {
        "description": "A number with a unit, such as 500m, 2 or 1Gi.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
    _NAMED["intOrString"]: {
        "description": "A number or a text.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}


def parse_types(prefix: str, text: str, prefixes: dict[str, str]) -> dict[str, Schema]:
    """The definitions of one group.

    Args:
        prefix: of the names of its types, e.g. `io.k8s.api.core.v1`.
        text: in the notation above.
        prefixes: of other groups, by the short name used in the text.
    """
    definitions: dict[str, Schema] = {}
    schema: Schema = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        if line.startswith(" "):
            _add_field(schema, line.strip(), prefix, prefixes)
            continue
        name, _, description = line.partition(":")
        schema = definitions[f"{prefix}.{name}"] = {"type": "object", "properties": {}}
        if description.strip():
            schema["description"] = description.strip()
    return definitions


def _add_field(schema: Schema, line: str, prefix: str, prefixes: dict[str, str]) -> None:
    declaration, _, description = line.partition(" # ")
    name, type_name, *attributes = declaration.split()
    if name.endswith("!"):
        name = name[:-1]
        schema.setdefault("required", []).append(name)
    field: Schema = _type(type_name, prefix, prefixes)
    if "$ref" in field and (description or attributes):
        field = dict[str, Any](allOf=[field])
    if description:
        field["description"] = description
    for attribute in attributes:
        _add_attribute(field, attribute)
    schema["properties"][name] = field


def _type(name: str, prefix: str, prefixes: dict[str, str]) -> Schema:
    if name.startswith("[]"):
        return {"type": "array", "items": _type(name[2:], prefix, prefixes)}
    if name.startswith("{}"):
        return {"type": "object", "additionalProperties": _type(name[2:], prefix, prefixes)}
    if name in _PRIMITIVES:
        return dict(_PRIMITIVES[name])
    if name in _NAMED:
        return {"$ref": REF + _NAMED[name]}
    group, dot, bare = name.rpartition(".")
    return {"$ref": f"{REF}{prefixes[group] if dot else prefix}.{bare}"}


def _add_attribute(field: Schema, text: str) -> None:
    name, _, value = text.partition("=")
    if name == "key":
        _add_attribute(field, f"map={value}")
        field["x-kubernetes-patch-strategy"] = "merge"
        field["x-kubernetes-patch-merge-key"] = value.partition("+")[0]
    elif name == "map":
        field["x-kubernetes-list-type"] = "map"
        field["x-kubernetes-list-map-keys"] = value.split("+")
    elif name == "set":
        field["x-kubernetes-list-type"] = "set"
        field["x-kubernetes-patch-strategy"] = "merge"
    elif name == "atomic":
        field["x-kubernetes-list-type"] = "atomic"
    elif name == "retain":
        known = field.get("x-kubernetes-patch-strategy")
        field["x-kubernetes-patch-strategy"] = f"{known},retainKeys" if known else "retainKeys"
    else:
        raise ValueError(f"unknown attribute {text!r}")
