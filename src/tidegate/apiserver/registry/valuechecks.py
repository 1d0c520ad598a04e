"""Defaults and value rules of an OpenAPI v3 schema, for the objects of custom kinds.

Types and unknown fields are `structure`'s concern.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

from tidegate.apiserver.registry.fielderrors import FieldErrors, join, show
from tidegate.apiserver.registry.formats import has_form
from tidegate.apiserver.registry.spec import Schema
from tidegate.apiserver.values import mapping, strings
from tidegate.kube.objects import Object, thaw

_MAX_PATTERN = 1024


def apply_defaults(schema: Schema, value: Any) -> None:
    """Fill in what the schema gives defaults for, in place, wherever the parent is there."""
    if isinstance(value, dict):
        entries = cast("Object", value)
        properties = mapping(schema.get("properties"))
        for name, field in properties.items():
            if name not in entries and "default" in mapping(field):
                entries[name] = thaw(mapping(field)["default"])
        for name, item in entries.items():
            field = properties.get(name, schema.get("additionalProperties"))
            apply_defaults(mapping(field), item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            apply_defaults(mapping(schema.get("items")), item)


def completed(schema: Schema, obj: Object) -> Object:
    """The object with the schema's defaults, or itself where it has them all."""
    if not _lacks_defaults(schema, obj):
        return obj
    whole = thaw(obj)
    apply_defaults(schema, whole)
    return whole


def has_defaults(schema: Schema) -> bool:
    """Whether a schema gives any default."""
    parts = [*mapping(schema.get("properties")).values(), schema.get("additionalProperties")]
    return any(
        "default" in mapping(part) or has_defaults(mapping(part))
        for part in (*parts, schema.get("items"))
        if isinstance(part, dict)
    )


def _lacks_defaults(schema: Schema, value: Any) -> bool:
    if isinstance(value, dict):
        entries = cast("Object", value)
        properties = mapping(schema.get("properties"))
        others = mapping(schema.get("additionalProperties"))
        return any(
            name not in entries and "default" in mapping(field)
            for name, field in properties.items()
        ) or any(
            _lacks_defaults(mapping(properties.get(name, others)), item)
            for name, item in entries.items()
        )
    items = mapping(schema.get("items"))
    return isinstance(value, list) and any(
        _lacks_defaults(items, item) for item in cast("list[Any]", value)
    )


def check_default(schema: Schema, path: str, errors: FieldErrors) -> None:
    """Report where the default of a schema is no value that the schema allows."""
    value = schema["default"]
    kind = schema.get("type")
    if kind and not _is_of(str(kind), value):
        errors.invalid(path, value, f"default in body must be of type {kind}")
    else:
        check_values(schema, value, path, errors)


def check_values(schema: Schema, value: Any, path: str, errors: FieldErrors) -> None:
    """Report what breaks the schema's rules: required, enum, bounds, patterns, combinations."""
    if "enum" in schema and value not in schema["enum"]:
        errors.not_supported(path, value, strings(schema["enum"]))
    if isinstance(value, dict):
        _check_map(schema, cast("Object", value), path, errors)
    elif isinstance(value, list):
        _check_list(schema, cast("list[Any]", value), path, errors)
    elif isinstance(value, str):
        _check_text(schema, value, path, errors)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(schema, value, path, errors)
    _check_combinations(schema, value, path, errors)


def _check_map(schema: Schema, value: Object, path: str, errors: FieldErrors) -> None:
    for name in strings(schema.get("required")):
        if name not in value:
            errors.required(join(path, name))
    if schema.get("x-kubernetes-embedded-resource"):
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                errors.required(join(path, name), "must not be empty")
    _check_size(schema, len(value), "Properties", "properties", value, path, errors)
    properties = mapping(schema.get("properties"))
    others = mapping(schema.get("additionalProperties"))
    for name, item in value.items():
        check_values(mapping(properties.get(name, others)), item, join(path, name), errors)


def _check_list(schema: Schema, value: list[Any], path: str, errors: FieldErrors) -> None:
    _check_size(schema, len(value), "Items", "items", value, path, errors)
    for index, item in enumerate(value):
        check_values(mapping(schema.get("items")), item, join(path, index), errors)
    kind = schema.get("x-kubernetes-list-type")
    if schema.get("uniqueItems") or kind == "set":
        _check_unique(value, path, errors)
    elif kind == "map":
        keys = strings(schema.get("x-kubernetes-list-map-keys"))
        identities = [{key: mapping(item).get(key) for key in keys} for item in value]
        _check_unique(identities, path, errors)


def _check_unique(identities: list[Any], path: str, errors: FieldErrors) -> None:
    seen: list[Any] = []
    for index, identity in enumerate(identities):
        if identity in seen:
            errors.duplicate(join(path, index), identity)
        seen.append(identity)


def _check_text(schema: Schema, value: str, path: str, errors: FieldErrors) -> None:
    low, high = schema.get("minLength"), schema.get("maxLength")
    if low is not None and len(value) < low:
        errors.invalid(path, value, f"{path} in body should be at least {low} chars long")
    if high is not None and len(value) > high:
        errors.invalid(path, value, f"{path} in body should be at most {high} chars long")
    form = str(schema.get("format") or "")
    if not has_form(form, value):
        errors.invalid(path, value, f"{path} in body must be of type {form}: {show(value)}")
    pattern = schema.get("pattern")
    if pattern and not _pattern(str(pattern)).search(value):
        errors.invalid(path, value, f"{path} in body should match '{pattern}'")


def _check_number(schema: Schema, value: float, path: str, errors: FieldErrors) -> None:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
        than = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        errors.invalid(path, value, f"{path} in body should be {than} {low}")
    if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
        than = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        errors.invalid(path, value, f"{path} in body should be {than} {high}")
    factor = schema.get("multipleOf")
    if factor and value % factor:
        errors.invalid(path, value, f"{path} in body should be a multiple of {factor}")


def _check_size(
    schema: Schema,
    size: int,
    suffix: str,
    noun: str,
    value: Any,
    path: str,
    errors: FieldErrors,
) -> None:
    low, high = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    if low is not None and size < low:
        errors.invalid(path, value, f"{path} in body should have at least {low} {noun}")
    if high is not None and size > high:
        errors.invalid(path, value, f"{path} in body should have at most {high} {noun}")


def _check_combinations(schema: Schema, value: Any, path: str, errors: FieldErrors) -> None:
    for part in cast("list[Any]", schema.get("allOf") or []):
        check_values(mapping(part), value, path, errors)
    for name, wanted in (("anyOf", "at least one"), ("oneOf", "one and only one")):
        parts = cast("list[Any]", schema.get(name) or [])
        if not parts:
            continue
        count = sum(_holds(mapping(part), value) for part in parts)
        if count == 0 or (name == "oneOf" and count > 1):
            errors.invalid(path, value, f"{path} in body must validate {wanted} schema ({name})")
    if "not" in schema and _holds(mapping(schema["not"]), value):
        errors.invalid(path, value, f"{path} in body must not validate the schema (not)")


def _holds(schema: Schema, value: Any) -> bool:
    kind = schema.get("type")
    if kind and not _is_of(kind, value):
        return False
    errors = FieldErrors()
    check_values(schema, value, "", errors)
    return not errors


def _is_of(kind: str, value: Any) -> bool:
    types: dict[str, tuple[type, ...]] = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
    }
    return isinstance(value, types.get(kind, (object,))) and (
        kind == "boolean" or not isinstance(value, bool)
    )


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text[:_MAX_PATTERN])
