"""The OpenAPI v2 document in the protobuf encoding (`openapi.v2.Document` of gnostic).

kubectl takes this document in no other form, and reads it to validate lists and what it finds no
OpenAPI v3 for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# The older spelling, which clients ask for and yet cannot read: `@` is not allowed there.
ASKED_TYPES = (MEDIA_TYPE, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")

# Field numbers of the messages written here.
_DOCUMENT = {"swagger": 1, "info": 2, "paths": 8, "definitions": 9}
_INFO = {"title": 1, "version": 2}
_PATH_ITEM = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
_OPERATION = {
    "tags": 1,
    "description": 3,
    "operationId": 5,
    "produces": 6,
    "consumes": 7,
    "parameters": 8,
    "responses": 9,
    "extension": 13,
}
_QUERY_PARAMETER = {"required": 1, "in": 2, "description": 3, "name": 4, "type": 6}
_BODY_PARAMETER = {"name": 2, "in": 3, "required": 4, "schema": 5}
_SCHEMA = {
    "$ref": 1,
    "format": 2,
    "description": 4,
    "required": 19,
    "enum": 20,
    "additionalProperties": 21,
    "type": 22,
    "items": 23,
    "properties": 25,
    "extension": 31,
}


def encode(document: Mapping[str, Any]) -> bytes:
    """A v2 document as made by `openapi.v2`."""
    info = document["info"]
    paths = b"".join(
        _field(2, _named(path, _path_item(item))) for path, item in document["paths"].items()
    )
    return b"".join(
        (
            _field(_DOCUMENT["swagger"], document["swagger"]),
            _field(_DOCUMENT["info"], b"".join(_field(_INFO[k], info[k]) for k in _INFO)),
            _field(_DOCUMENT["paths"], paths),
            _field(_DOCUMENT["definitions"], _named_schemas(document["definitions"])),
        )
    )


def _path_item(item: Mapping[str, Any]) -> bytes:
    return b"".join(
        _field(number, _operation(item[method]))
        for method, number in _PATH_ITEM.items()
        if method in item
    )


def _operation(operation: Mapping[str, Any]) -> bytes:
    numbers = _OPERATION
    parts = [
        _field(numbers[name], text)
        for name in ("tags", "produces", "consumes")
        for text in operation.get(name) or ()
    ]
    parts += [_field(numbers[name], operation[name]) for name in ("description", "operationId")]
    parts += [
        _field(numbers["parameters"], _field(1, _parameter(parameter)))
        for parameter in operation["parameters"]
    ]
    responses = (
        _field(1, _named(code, _field(1, _response(response))))
        for code, response in operation["responses"].items()
    )
    parts.append(_field(numbers["responses"], b"".join(responses)))
    parts.append(_extensions(numbers["extension"], operation))
    return b"".join(parts)


def _parameter(parameter: Mapping[str, Any]) -> bytes:
    if parameter["in"] == "body":
        parts = [_field(_BODY_PARAMETER[name], parameter[name]) for name in ("name", "in")]
        parts.append(_flag(_BODY_PARAMETER["required"]))
        parts.append(_field(_BODY_PARAMETER["schema"], _schema(parameter["schema"])))
        return _field(1, b"".join(parts))
    names = ("in", "description", "name", "type")
    query = b"".join(_field(_QUERY_PARAMETER[name], parameter[name]) for name in names)
    return _field(2, _field(3, query))


def _response(response: Mapping[str, Any]) -> bytes:
    described = _field(1, response["description"])
    if "schema" not in response:
        return described
    return described + _field(2, _field(1, _schema(response["schema"])))


def _schema(schema: Mapping[str, Any]) -> bytes:
    texts = ("$ref", "format", "description")
    parts = [_field(_SCHEMA[name], schema[name]) for name in texts if name in schema]
    parts += [_field(_SCHEMA["required"], name) for name in schema.get("required") or ()]
    parts += [_field(_SCHEMA["enum"], _any(value)) for value in schema.get("enum") or ()]
    if "type" in schema:
        parts.append(_field(_SCHEMA["type"], _field(1, schema["type"])))
    if "items" in schema:
        parts.append(_field(_SCHEMA["items"], _field(1, _schema(schema["items"]))))
    if "properties" in schema:
        parts.append(_field(_SCHEMA["properties"], _named_schemas(schema["properties"])))
    additional: Any = schema.get("additionalProperties")
    if isinstance(additional, bool):
        parts.append(_field(_SCHEMA["additionalProperties"], _flag(2) if additional else b""))
    elif additional is not None:
        parts.append(_field(_SCHEMA["additionalProperties"], _field(1, _schema(additional))))
    parts.append(_extensions(_SCHEMA["extension"], schema))
    return b"".join(parts)


def _named_schemas(schemas: Mapping[str, Any]) -> bytes:
    return b"".join(_field(1, _named(name, _schema(value))) for name, value in schemas.items())


def _extensions(number: int, holder: Mapping[str, Any]) -> bytes:
    found: Iterable[tuple[str, Any]] = ((k, v) for k, v in holder.items() if k.startswith("x-"))
    return b"".join(_field(number, _named(name, _any(value))) for name, value in found)


def _named(name: str, value: bytes) -> bytes:
    return _field(1, name) + _field(2, value)


def _any(value: Any) -> bytes:
    # The message holds YAML, and JSON is YAML.
    return _field(2, orjson.dumps(value))


def _field(number: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _flag(number: int) -> bytes:
    return _varint(number << 3) + b"\x01"


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
