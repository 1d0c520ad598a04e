"""Does an object have the shape its schema says: unknown fields and wrong types.

Schemas are compiled once into trees of checkers, which walk an object and clean it in place:
fields that are null or unknown are taken out, as decoding into a typed object would do.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, cast

from tidegate.apiserver.registry.fielderrors import FieldErrors, join
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.schemas.builtin import OBJECT_META, reference
from tidegate.apiserver.registry.spec import KindSpec, Schema
from tidegate.apiserver.requests import FieldValidation, RequestContext
from tidegate.kube.clock import parse_rfc3339, rfc3339, rfc3339_micro
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object

Path = tuple[Any, "str | int"] | None
Check = Callable[[Any, Path, "Report"], Any]

_QUANTITY = re.compile(
    r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(n|u|m|k|M|G|T|P|E|[KMGTPE]i|[eE][+-]?[0-9]+)?"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)", re.ASCII)
_MAX_UNKNOWN = 100
_INT_BITS = {"int32": 31}


class Report:
    """What a walk found."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.wrong: list[tuple[str, Any, str, str]] = []

    def add_unknown(self, path: Path, name: str) -> None:
        if len(self.unknown) < _MAX_UNKNOWN:
            self.unknown.append(_text((path, name)))

    def add_wrong(self, path: Path, value: Any, expected: str, detail: str = "") -> None:
        self.wrong.append((_text(path), value, expected, detail))


class StructureChecks:
    """Compiled checks of the kinds of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._checks: dict[str, Check] = {}
        self._kinds: dict[str, tuple[Schema, Check]] = {}

    def check(self, spec: KindSpec, obj: Object, context: RequestContext) -> None:
        """Clean `obj` in place.

        Raises:
            BadRequest: a type is wrong (built-in kinds), or in strict mode a field is unknown or
                given twice.
            Invalid: a type is wrong (other kinds).
        """
        report = self._walk(spec, obj)
        messages = [f'unknown field "{path}"' for path in report.unknown]
        messages.extend(context.duplicates)
        context.duplicates.clear()
        if not messages or context.field_validation is FieldValidation.IGNORE:
            return
        if context.field_validation is FieldValidation.STRICT:
            raise BadRequest(
                f"{_cannot_handle(spec)}: strict decoding error: {', '.join(messages)}"
            )
        context.warnings.extend(messages)

    def check_applied(self, spec: KindSpec, config: Object, context: RequestContext) -> None:
        """Like `check`, for what server-side apply is given: it must know each field to own it.

        The built-in types leave out some of Kubernetes' fields, so that of theirs unknown ones are
        refused in strict mode only.

        Raises:
            BadRequest, Invalid: as `check`, or a field is unknown.
        """
        strict = context.field_validation is FieldValidation.STRICT
        if strict and context.duplicates:
            problems = "\n".join(f"  {problem}" for problem in context.duplicates)
            raise BadRequest(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal"
                f" errors:\n{problems}"
            )
        if spec.strategic and not strict:
            self.check(spec, config, context)
            return
        report = self._walk(spec, config)
        if report.unknown:
            raise BadRequest(_not_declared(spec, config, report.unknown))
        context.warnings.extend(context.duplicates)
        context.duplicates.clear()

    def _walk(self, spec: KindSpec, obj: Object) -> Report:
        report = Report()
        self._of(spec)(obj, None, report)
        if report.wrong:
            _refuse_types(spec, obj, report)
        return report

    def _of(self, spec: KindSpec) -> Check:
        schema = self._registry.schema(spec)
        known = self._kinds.get(spec.schema_name)
        if known is None or known[0] is not schema:
            known = self._kinds[spec.schema_name] = (schema, self._root(schema))
        return known[1]

    def _root(self, schema: Schema) -> Check:
        resolved = self._registry.resolve(schema)
        properties: dict[str, Schema] = {
            **(resolved.get("properties") or {}),
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": reference(OBJECT_META),
        }
        return self._struct({**resolved, "properties": properties})

    def _compile(self, schema: Schema) -> Check:
        if "allOf" in schema and len(schema["allOf"]) == 1 and "properties" not in schema:
            return self._compile(schema["allOf"][0])
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if name:
            return self._named(name)
        if schema.get("x-kubernetes-int-or-string"):
            return _int_or_string
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return _list_of(self._compile(schema.get("items") or {}))
        return _scalar(str(kind), str(schema.get("format") or ""))

    def _named(self, name: str) -> Check:
        found = self._checks.get(name)
        if found is None:
            special = _SPECIAL.get(name.rpartition(".")[2])
            if special is not None:
                found = special
            else:
                # Types may contain themselves: the check looks itself up when it is called.
                self._checks[name] = lambda value, path, report: self._checks[name](
                    value, path, report
                )
                found = self._compile(self._registry.definitions[name])
            self._checks[name] = found
        return found

    def _object(self, schema: Schema) -> Check:
        values = schema.get("additionalProperties")
        if isinstance(values, dict) and "properties" not in schema:
            return _map_of(self._compile(cast("Schema", values)))
        if values is True and "properties" not in schema:
            return _any_object
        return self._struct(schema)

    def _struct(self, schema: Schema) -> Check:
        properties: dict[str, Schema] = dict(schema.get("properties") or {})
        if schema.get("x-kubernetes-embedded-resource"):
            properties.setdefault("apiVersion", {"type": "string"})
            properties.setdefault("kind", {"type": "string"})
            properties["metadata"] = reference(OBJECT_META)
        fields = {name: self._compile(field) for name, field in properties.items()}
        nullable = {name for name, field in properties.items() if field.get("nullable")}
        keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields"))

        def check(value: Any, path: Path, report: Report) -> Any:
            if type(value) is not dict:
                report.add_wrong(path, value, "object")
                return value
            entries = cast("dict[str, Any]", value)
            dropped: list[str] = []
            for name, item in entries.items():
                field = fields.get(name)
                if field is None:
                    if not keeps:
                        report.add_unknown(path, name)
                        dropped.append(name)
                elif item is None:
                    if name not in nullable:
                        dropped.append(name)
                else:
                    cleaned = field(item, (path, name), report)
                    if cleaned is not item:
                        entries[name] = cleaned
            for name in dropped:
                del entries[name]
            return entries

        return check


def _list_of(item_check: Check) -> Check:
    def check(value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, list):
            report.add_wrong(path, value, "array")
            return value
        items = cast("list[Any]", value)
        for index, item in enumerate(items):
            cleaned = item_check(item, (path, index), report)
            if cleaned is not item:
                items[index] = cleaned
        return items

    return check


def _map_of(value_check: Check) -> Check:
    def check(value: Any, path: Path, report: Report) -> Any:
        if type(value) is not dict:
            report.add_wrong(path, value, "object")
            return value
        entries = cast("dict[str, Any]", value)
        for key, item in entries.items():
            cleaned = "" if item is None and value_check is _string else item
            if cleaned is item:
                cleaned = value_check(item, (path, key), report)
            if cleaned is not item:
                entries[key] = cleaned
        return entries

    return check


def _scalar(kind: str, form: str) -> Check:
    if kind == "integer":
        return _integer(form or "int64")
    if kind == "string" and form == "byte":
        return _bytes
    return {"string": _string, "boolean": _boolean, "number": _number}.get(kind, _anything)


def _anything(value: Any, _path: Path, _report: Report) -> Any:
    return value


def _any_object(value: Any, path: Path, report: Report) -> Any:
    if not _is_map(value):
        report.add_wrong(path, value, "object")
    return value


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


def _string(value: Any, path: Path, report: Report) -> Any:
    if not isinstance(value, str):
        report.add_wrong(path, value, "string")
    return value


def _boolean(value: Any, path: Path, report: Report) -> Any:
    if not isinstance(value, bool):
        report.add_wrong(path, value, "bool")
    return value


def _number(value: Any, path: Path, report: Report) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        report.add_wrong(path, value, "number")
    return value


def _integer(form: str) -> Check:
    bound = 1 << _INT_BITS.get(form, 63)

    def check(value: Any, path: Path, report: Report) -> Any:
        if type(value) is not int or not -bound <= value < bound:
            report.add_wrong(path, value, form)
        return value

    return check


def _int_or_string(value: Any, path: Path, report: Report) -> Any:
    if type(value) is not int and not isinstance(value, str):
        report.add_wrong(path, value, "integer or string")
    return value


def _quantity(value: Any, path: Path, report: Report) -> Any:
    text = str(value) if type(value) in (int, float) else value
    if not isinstance(text, str):
        report.add_wrong(path, value, "string")
    elif not _QUANTITY.fullmatch(text):
        report.add_wrong(
            path,
            value,
            "quantity",
            "quantities must match the regular expression"
            " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        )
    return text


def _time(form: Callable[[float], str]) -> Check:
    """Times in any zone, kept in Kubernetes' own form."""

    def check(value: Any, path: Path, report: Report) -> Any:
        if not isinstance(value, str):
            report.add_wrong(path, value, "string")
            return value
        try:
            if not _TIME.fullmatch(value):
                raise ValueError(value)
            return form(parse_rfc3339(value))
        except (ValueError, OverflowError):
            report.add_wrong(path, value, "time", "must be a time as in RFC 3339")
            return value

    return check


def _bytes(value: Any, path: Path, report: Report) -> Any:
    if not isinstance(value, str):
        report.add_wrong(path, value, "string")
        return value
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error as error:
        report.add_wrong(path, "", "base64", f"illegal base64 data: {error}")
    return value


_SPECIAL: dict[str, Check] = {
    "Time": _time(rfc3339),
    "MicroTime": _time(rfc3339_micro),
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
}


_SCHEMA_TYPES = {"int32": "integer", "int64": "integer", "bool": "boolean"}


def _refuse_types(spec: KindSpec, obj: Object, report: Report) -> None:
    path, value, expected, detail = report.wrong[0]
    found = _type_name(value)
    if spec.strategic:
        problem = detail or (
            f"json: cannot unmarshal {found} into Go struct field"
            f" {spec.resource.kind}.{path} of type {expected}"
        )
        where = f" (at {path})" if detail else ""
        raise BadRequest(f"{_cannot_handle(spec)}: {problem}{where}")
    errors = FieldErrors()
    for path, value, expected, detail in report.wrong:
        found = _schema_type(value)
        wanted = _SCHEMA_TYPES.get(expected, expected)
        problem = detail or f'{path} in body must be of type {wanted}: "{found}"'
        errors.type_invalid(path, found, problem)
    errors.raise_for(spec.resource, obj)


def _not_declared(spec: KindSpec, config: Object, unknown: list[str]) -> str:
    metadata: Object = config.get("metadata") or {}
    name = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
    problems = [f".{path}: field not declared in schema" for path in unknown]
    listed = problems[0] if len(problems) == 1 else "errors:\n  " + "\n  ".join(problems)
    resource = spec.resource
    return (
        f"failed to create typed patch object ({name}; {resource.api_version},"
        f" Kind={resource.kind}): {listed}"
    )


def _cannot_handle(spec: KindSpec) -> str:
    kind = spec.resource.kind
    return f'{kind} in version "{spec.resource.version}" cannot be handled as a {kind}'


def _schema_type(value: Any) -> str:
    """The type by JSON schema's name, as messages about custom kinds have it."""
    name = _type_name(value)
    return "integer" if type(value) is int else _SCHEMA_TYPES.get(name, name)


def _type_name(value: Any) -> str:
    for kind, name in (
        (bool, "bool"),
        ((int, float), "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ):
        if isinstance(value, kind):
            return name
    return "null"


def _text(path: Path) -> str:
    parts: list[str | int] = []
    while path is not None:
        path, part = path
        parts.append(part)
    text = ""
    for part in reversed(parts):
        text = join(text, part)
    return text
