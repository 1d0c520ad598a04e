"""The rules for the schemas of CustomResourceDefinitions: structural, complete, and usable.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
#specifying-a-structural-schema
"""

from __future__ import annotations

import re

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.spec import Schema
from tidegate.apiserver.registry.valuechecks import check_default
from tidegate.apiserver.values import mapping, objects, strings

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_SCALARS = ("boolean", "integer", "number", "string")
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_EMBEDDED = "x-kubernetes-embedded-resource"
_LIST_TYPE = "x-kubernetes-list-type"
_LIST_KEYS = "x-kubernetes-list-map-keys"
_MAP_TYPE = "x-kubernetes-map-type"
_UNSUPPORTED = ("$ref", "additionalItems", "definitions", "dependencies", "id", "patternProperties")
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_INT_OR_STRING_PARTS: list[Schema] = [{"type": "integer"}, {"type": "string"}]
# What says what a value is, and so has no place where only its value is checked.
_STRUCTURAL = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (_PRESERVE, "must be false to be structural"),
    (_EMBEDDED, "must be false to be structural"),
    (_INT_OR_STRING, "must be false to be structural"),
    (_LIST_KEYS, "must be empty to be structural"),
    (_LIST_TYPE, "must be undefined to be structural"),
    (_MAP_TYPE, "must be undefined to be structural"),
)
_EMPTY_TYPE = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}


def check_schema(schema: Schema, path: str, errors: FieldErrors, *, level: str = "root") -> None:
    """Report what keeps `schema` from being served.

    Args:
        path: of the schema in its definition.
        level: `root`, `item` or `field`: where in the object it stands.
    """
    _check_type(schema, path, errors, level)
    _check_refused(schema, path, errors, level)
    _check_lists(schema, path, errors)
    _check_values(schema, path, errors, level)
    for name, field in mapping(schema.get("properties")).items():
        inner = f"{path}.properties[{name}]"
        if level == "root" and name == "metadata":
            _check_metadata(mapping(field), inner, errors)
        else:
            check_schema(mapping(field), inner, errors, level="field")
    if isinstance(schema.get("items"), dict):
        check_schema(mapping(schema["items"]), f"{path}.items", errors, level="item")
    if isinstance(schema.get("additionalProperties"), dict):
        inner = f"{path}.additionalProperties"
        check_schema(mapping(schema["additionalProperties"]), inner, errors, level="field")


def _check_type(schema: Schema, path: str, errors: FieldErrors, level: str) -> None:
    kind = schema.get("type") or ""
    free = schema.get(_PRESERVE) or schema.get(_INT_OR_STRING)
    if kind and kind not in _TYPES:
        errors.not_supported(f"{path}.type", kind, _TYPES)
    elif schema.get(_EMBEDDED) and kind != "object":
        errors.invalid(f"{path}.type", kind, f"must be object if {_EMBEDDED} is true")
    elif level == "root" and kind and kind != "object":
        errors.invalid(f"{path}.type", kind, "must be object at the root")
    elif not kind and not free:
        errors.required(f"{path}.type", _EMPTY_TYPE[level])
    if kind == "array" and "items" not in schema:
        errors.required(f"{path}.items", "must be specified")


def _check_refused(schema: Schema, path: str, errors: FieldErrors, level: str) -> None:
    for name in _UNSUPPORTED:
        if name in schema:
            errors.forbidden(f"{path}.{name}", f"{name} is not supported")
    if schema.get("uniqueItems"):
        errors.forbidden(
            f"{path}.uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        )
    if isinstance(schema.get("items"), list):
        errors.forbidden(f"{path}.items", "items must be a schema object and not an array")
    if "additionalProperties" in schema:
        if level == "root":
            errors.forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if schema.get("properties"):
            errors.forbidden(
                f"{path}.additionalProperties",
                "additionalProperties and properties are mutual exclusive",
            )
    if schema.get(_PRESERVE, True) is not True:
        errors.invalid(f"{path}.{_PRESERVE}", schema[_PRESERVE], "must be true or undefined")
    if schema.get(_INT_OR_STRING):
        for name in (_PRESERVE, _EMBEDDED):
            if schema.get(name):
                detail = f"must be false if {_INT_OR_STRING} is true"
                errors.invalid(f"{path}.{name}", True, detail)
    if schema.get(_EMBEDDED) and not schema.get(_PRESERVE) and not schema.get("properties"):
        detail = f"must not be empty if {_EMBEDDED} is true without {_PRESERVE}"
        errors.required(f"{path}.properties", detail)
    map_type = schema.get(_MAP_TYPE)
    if map_type and map_type not in ("atomic", "granular"):
        errors.not_supported(f"{path}.{_MAP_TYPE}", map_type, ("atomic", "granular"))


def _check_lists(schema: Schema, path: str, errors: FieldErrors) -> None:
    list_type, keys = schema.get(_LIST_TYPE), strings(schema.get(_LIST_KEYS))
    if list_type is None:
        if keys:
            detail = f"must be map if {_LIST_KEYS} is non-empty"
            errors.required(f"{path}.{_LIST_TYPE}", detail)
        return
    if schema.get("type") != "array":
        detail = f"must be array if {_LIST_TYPE} is specified"
        errors.invalid(f"{path}.type", schema.get("type") or "", detail)
    if list_type not in ("atomic", "map", "set"):
        errors.not_supported(f"{path}.{_LIST_TYPE}", list_type, ("atomic", "map", "set"))
    elif list_type == "map":
        _check_keys(schema, keys, path, errors)
    elif keys:
        detail = f"must be map if {_LIST_KEYS} is non-empty"
        errors.invalid(f"{path}.{_LIST_TYPE}", list_type, detail)


def _check_keys(schema: Schema, keys: list[str], path: str, errors: FieldErrors) -> None:
    if not keys:
        errors.required(f"{path}.{_LIST_KEYS}", f"must not be empty if {_LIST_TYPE} is map")
    items = mapping(schema.get("items"))
    parent = f"if parent array's {_LIST_TYPE} is map"
    if items.get("type") != "object":
        errors.invalid(f"{path}.items.type", items.get("type") or "", f"must be object {parent}")
        return
    required, fields = strings(items.get("required")), mapping(items.get("properties"))
    for index, key in enumerate(keys):
        field = mapping(fields.get(key))
        at = f"{path}.items.properties[{key}]"
        if key not in fields:
            detail = "entries must all be names of item properties"
            errors.invalid(f"{path}.{_LIST_KEYS}[{index}]", key, detail)
        elif field.get("type") not in _SCALARS:
            errors.invalid(f"{at}.type", field.get("type") or "", f"must be a scalar type {parent}")
        elif field.get("nullable"):
            detail = f"this property is in {_LIST_KEYS}, so it cannot be nullable"
            errors.forbidden(f"{at}.nullable", detail)
        elif key not in required and "default" not in field:
            detail = (
                f"this property is in {_LIST_KEYS}, so it must have a default or be a required"
                " property"
            )
            errors.required(f"{at}.default", detail)


def _check_values(schema: Schema, path: str, errors: FieldErrors, level: str) -> None:
    pattern = schema.get("pattern")
    if pattern is not None:
        try:
            re.compile(str(pattern))
        except re.error as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            errors.invalid(f"{path}.pattern", pattern, detail)
    if schema.get("default") is not None:
        if level == "root":
            errors.forbidden(f"{path}.default", "must not be set at the top level")
        else:
            check_default(schema, f"{path}.default", errors)
    for name in _JUNCTORS:
        parts = objects(schema.get(name))
        if name == "anyOf" and schema.get(_INT_OR_STRING) and parts == _INT_OR_STRING_PARTS:
            continue
        for index, part in enumerate(parts):
            _check_nested(part, f"{path}.{name}[{index}]", errors, schema)
    if isinstance(schema.get("not"), dict):
        _check_nested(mapping(schema["not"]), f"{path}.not", errors, schema)


def _check_nested(part: Schema, path: str, errors: FieldErrors, around: Schema) -> None:
    """A part of anyOf and the like checks values; what they are is said outside of it."""
    allowed = around.get(_INT_OR_STRING) and part.get("anyOf") == _INT_OR_STRING_PARTS
    for name, detail in _STRUCTURAL:
        if part.get(name):
            errors.forbidden(f"{path}.{name}", detail)
    fields = mapping(around.get("properties"))
    values = mapping(around.get("additionalProperties"))
    for name, field in mapping(part.get("properties")).items():
        inner = f"{path}.properties[{name}]"
        if name not in fields and not values and "properties" in around:
            errors.required(inner, "because it is defined in a nested schema")
        _check_nested(mapping(field), inner, errors, mapping(fields.get(name, values)))
    if isinstance(part.get("items"), dict):
        inner = mapping(around.get("items"))
        _check_nested(mapping(part["items"]), f"{path}.items", errors, inner)
    for name in _JUNCTORS:
        if not (allowed and name == "anyOf"):
            for index, nested in enumerate(objects(part.get(name))):
                _check_nested(nested, f"{path}.{name}[{index}]", errors, around)


def _check_metadata(schema: Schema, path: str, errors: FieldErrors) -> None:
    if schema.get("type") != "object":
        errors.invalid(f"{path}.type", schema.get("type") or "", "must be object")
    others = set(mapping(schema.get("properties"))) - {"name", "generateName"}
    if others or set(schema) - {"type", "properties", "description"}:
        errors.forbidden(
            path,
            "must not specify anything other than name and generateName, but metadata is"
            " implicitly specified",
        )
