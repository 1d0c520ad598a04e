"""Request bodies as values: JSON, YAML or protobuf, within bounds, duplicate fields noticed."""

from __future__ import annotations

import json
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, cast

import orjson

from tidegate.apiserver.http.protobuf import decode as protobuf
from tidegate.apiserver.requests import FieldValidation, RequestContext
from tidegate.kube.errors import BadRequest, UnsupportedMediaType
from tidegate.kube.objects import Object

_JSON_TYPES = frozenset(("", "application/json", "*/*"))
_YAML_TYPES = frozenset(("application/yaml", "application/x-yaml", "text/yaml"))
# YAML's aliases let a small text stand for a huge value.
_MAX_YAML_VALUES = 200_000


def media_type(content_type: str) -> str:
    """The type alone, without parameters, lower case."""
    return content_type.partition(";")[0].strip().lower()


def decode_object(body: bytes, content_type: str, context: RequestContext) -> Object:
    """The object that a create or update sends.

    Raises:
        BadRequest: it cannot be read.
        UnsupportedMediaType: neither JSON nor YAML nor protobuf.
    """
    kind = media_type(content_type)
    if kind in _JSON_TYPES:
        value = decode_json(body, context)
    elif kind in _YAML_TYPES:
        value = decode_yaml(body, context)
    elif kind == protobuf.MEDIA_TYPE:
        value = protobuf.decode(body)
    else:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - {kind!r}; accepted media types "
            f"include: application/json, application/yaml, {protobuf.MEDIA_TYPE}"
        )
    if not isinstance(value, dict):
        raise BadRequest("the body of the request must be one object")
    return cast("Object", value)


def decode_json(body: bytes, context: RequestContext | None = None) -> Any:
    """A JSON value; fields given twice are noted in the context.

    Raises:
        BadRequest: it is no JSON.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body of the request is no valid JSON: {error}") from error
    if context is not None:
        _note_duplicates(value, body, context)
    return value


def decode_yaml_or_json(body: bytes, context: RequestContext) -> Any:
    """An apply patch: JSON is YAML, and much quicker to read as what it is.

    Raises:
        BadRequest: it is neither.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return decode_yaml(body, context)
    _note_duplicates(value, body, context)
    return value


def decode_yaml(body: bytes, context: RequestContext | None = None) -> Any:
    """A YAML document, as the JSON value it stands for; keys given twice are noted in the context.

    Raises:
        BadRequest: it is no single YAML document, or stands for too much.
    """
    import yaml

    try:
        loader = _loader()(body)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise BadRequest(f"the body of the request is no valid YAML: {error}") from error
    if context is not None and context.field_validation is not FieldValidation.IGNORE:
        context.duplicates.extend(
            f'line {line}: key "{key}" already set in map' for line, key in sorted(loader.repeated)
        )
    return _plain(value, [_MAX_YAML_VALUES])


@lru_cache(maxsize=1)
def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class JsonLoader(base):
        """Takes a timestamp for a string, as JSON has it, and notes keys that repeat."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - as the loaders of PyYAML have it
            char: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
            for char, pairs in base.yaml_implicit_resolvers.items()
        }

        def __init__(self, stream: bytes) -> None:
            parent: Any = super()
            parent.__init__(stream)
            self.repeated: list[tuple[int, str]] = []

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        self.repeated.append((key.start_mark.line + 1, key.value))
                    seen.add(key.value)
            parent: Any = super()
            return parent.construct_mapping(node, deep)

    return JsonLoader


def _plain(value: Any, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise BadRequest("the YAML in the body of the request expands to too many values")
    if isinstance(value, dict):
        items = cast("dict[Hashable, Any]", value).items()
        return {_key(key): _plain(item, left) for key, item in items}
    if isinstance(value, list):
        return [_plain(item, left) for item in cast("list[Any]", value)]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise BadRequest(f"the YAML in the body of the request holds a {type(value).__name__}")


def _key(key: Hashable) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


class _Pairs(list[tuple[str, Any]]):
    """An object with its fields as sent."""


_PAIRS = json.JSONDecoder(object_pairs_hook=_Pairs)


def _note_duplicates(value: Any, body: bytes, context: RequestContext) -> None:
    checked = context.field_validation is not FieldValidation.IGNORE
    if checked and not _comes_out_the_same(value, body):
        context.duplicates.extend(f'duplicate field "{path}"' for path in _duplicates(body))


def _comes_out_the_same(value: Any, body: bytes) -> bool:
    """Whether JSON is as we would write it, so that no field was there twice; most clients' is."""
    try:
        return orjson.dumps(value) == body.strip()
    except orjson.JSONEncodeError:
        return False  # nested deeper than we would write


def _duplicates(body: bytes) -> list[str]:
    found: list[str] = []
    _collect(_PAIRS.decode(body.decode()), "", found)
    return list(dict.fromkeys(found))


def _collect(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for name, item in value:
            inner = f"{path}.{name}" if path else name
            if name in seen:
                found.append(inner)
            seen.add(name)
            _collect(item, inner, found)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            _collect(item, f"{path}[{index}]", found)
