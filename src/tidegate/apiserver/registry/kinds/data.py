"""What ConfigMaps and Secrets have in common: keys, a size, and that they can be made immutable."""

from __future__ import annotations

import re

from tidegate.apiserver.registry.fielderrors import FieldErrors, key
from tidegate.apiserver.registry.kinds.checks import validate_text
from tidegate.kube.objects import Object

_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',"
    "  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MAX_KEY = 253
_MAX_DATA = 1024 * 1024


def validate_keys(path: str, data: Object, errors: FieldErrors) -> None:
    """The names of the entries."""
    for name in data:
        validate_text(name, key_problem, key(path, name), errors)


def key_problem(name: str) -> str | None:
    """Why `name` cannot be that of an entry, or None."""
    if len(name) > _MAX_KEY:
        return f"must be no more than {_MAX_KEY} characters"
    if not _KEY.fullmatch(name):
        return _KEY_MESSAGE
    if name in (".", ".."):
        return f"must not be '{name}'"
    return "must not start with '..'" if name.startswith("..") else None


def validate_size(values: list[str], path: str, errors: FieldErrors) -> None:
    """All entries together."""
    if sum(len(value) for value in values) > _MAX_DATA:
        errors.too_long(path, _MAX_DATA)


def validate_unchanged(
    obj: Object, old: Object | None, fields: tuple[str, ...], errors: FieldErrors
) -> None:
    """What is immutable stays so, and as it is."""
    if old is None or not old.get("immutable"):
        return
    if not obj.get("immutable"):
        errors.forbidden("immutable", "field is immutable when `immutable` is set")
    for field in fields:
        if (obj.get(field) or {}) != (old.get(field) or {}):
            errors.forbidden(field, "field is immutable when `immutable` is set")
