"""Collecting what is wrong with an object, field by field, in Kubernetes' words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from tidegate.kube.errors import Cause, Invalid
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource


def join(path: str, part: str | int) -> str:
    """`spec.containers` + 0 -> `spec.containers[0]`; a name with dots goes into brackets."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    if "." in part or "/" in part:
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def key(path: str, name: str) -> str:
    """`data` + `tls.crt` -> `data[tls.crt]`: an entry of a map of a built-in kind."""
    return f"{path}[{name}]"


def show(value: Any) -> str:
    """A value as Kubernetes shows it in messages: JSON."""
    return orjson.dumps(value).decode()


class FieldErrors:
    """The list of errors of one object; empty means valid."""

    def __init__(self) -> None:
        self.causes: list[Cause] = []

    def __bool__(self) -> bool:
        return bool(self.causes)

    def required(self, path: str, detail: str = "") -> None:
        """A field that must be there is not."""
        self._add("FieldValueRequired", path, _with("Required value", detail))

    def invalid(self, path: str, value: Any, detail: str) -> None:
        """A value is not allowed; `detail` says why."""
        self._add("FieldValueInvalid", path, f"Invalid value: {show(value)}: {detail}")

    def type_invalid(self, path: str, value: Any, detail: str) -> None:
        """A value is of the wrong type."""
        self._add("FieldValueTypeInvalid", path, f"Invalid value: {show(value)}: {detail}")

    def not_supported(self, path: str, value: Any, supported: Sequence[str]) -> None:
        """A value is none of an enumeration."""
        names = ", ".join(show(name) for name in sorted(supported))
        message = f"Unsupported value: {show(value)}: supported values: {names}"
        self._add("FieldValueNotSupported", path, message)

    def duplicate(self, path: str, value: Any) -> None:
        """A value that must be unique in its list is there twice."""
        self._add("FieldValueDuplicate", path, f"Duplicate value: {show(value)}")

    def forbidden(self, path: str, detail: str) -> None:
        """A field may not be set or changed here."""
        self._add("FieldValueForbidden", path, f"Forbidden: {detail}")

    def not_found(self, path: str, value: Any) -> None:
        """A value refers to something that is not there."""
        self._add("FieldValueNotFound", path, f"Not found: {show(value)}")

    def too_long(self, path: str, limit: int) -> None:
        """A value has more than `limit` bytes."""
        self._add("FieldValueTooLong", path, f"Too long: may not be more than {limit} bytes")

    def too_many(self, path: str, count: int, limit: int) -> None:
        """A list has more than `limit` items."""
        message = f"Too many: {count}: must have at most {limit} items"
        self._add("FieldValueTooMany", path, message)

    def forgive(self, known: FieldErrors) -> None:
        """Leave out what was as wrong before."""
        self.causes = [cause for cause in self.causes if cause not in known.causes]

    def immutable(self, path: str, old: Any, new: Any) -> None:
        """Report when a field that must not change has changed."""
        if old != new:
            self.invalid(path, new, "field is immutable")

    def _add(self, reason: str, path: str, message: str) -> None:
        self.causes.append(Cause(reason, message, path))

    def raise_for(self, resource: Resource, obj: Object) -> None:
        """Raise Invalid if anything was reported."""
        if self.causes:
            raise invalid_object(resource, obj, self.causes)


def invalid_object(resource: Resource, obj: Object, causes: Iterable[Cause]) -> Invalid:
    """The 422 for an object, with one cause per field."""
    listed = tuple(causes)
    metadata: Object = obj.get("metadata") or {}
    name = str(metadata.get("name") or metadata.get("generateName") or "")
    parts = [f"{cause.field}: {cause.message}" for cause in listed]
    text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    qualified = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return Invalid(
        f'{qualified} "{name}" is invalid: {text}',
        resource=resource.kind,
        group=resource.group,
        name=name,
        causes=listed,
    )


def _with(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text
