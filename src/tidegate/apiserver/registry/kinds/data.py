"""What ConfigMaps and Secrets have in common: keys, a size, and that they can be made immutable."""

from __future__ import annotations

import re

from tidegate.apiserver.registry.fielderrors import FieldErrors, join
from tidegate.kube.objects import Object

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_KEY_MESSAGE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',"
    "  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MAX_DATA = 1024 * 1024


def validate_keys(path: str, data: Object, errors: FieldErrors) -> None:
    """The names of the entries."""
    for key in data:
        if not _KEY.fullmatch(key) or key in (".", "..") or key.startswith("../"):
            errors.invalid(join(path, key), key, _KEY_MESSAGE)


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
