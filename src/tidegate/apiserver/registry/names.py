"""The syntax of names, labels and annotations, with Kubernetes' messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from tidegate.apiserver.registry.fielderrors import FieldErrors, join

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_MAX_ANNOTATIONS = 256 * 1024

LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and"
    " must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex"
    " used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035_MESSAGE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or"
    " 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used"
    " for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or"
    " 'my_value',  or '12345', regex used for validation is"
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def label_problem(name: str) -> str | None:
    """Why `name` is no RFC 1123 label, or None."""
    if len(name) > 63:
        return "must be no more than 63 characters"
    return None if _LABEL.fullmatch(name) else LABEL_MESSAGE


def label_1035_problem(name: str) -> str | None:
    """Why `name` is no RFC 1035 label, or None."""
    if len(name) > 63:
        return "must be no more than 63 characters"
    return None if _LABEL_1035.fullmatch(name) else LABEL_1035_MESSAGE


def subdomain_problem(name: str) -> str | None:
    """Why `name` is no RFC 1123 subdomain, or None."""
    if len(name) > 253:
        return "must be no more than 253 characters"
    return None if _SUBDOMAIN.fullmatch(name) else SUBDOMAIN_MESSAGE


def path_problem(name: str) -> str | None:
    """Why `name` cannot be a path segment, or None; the rule of RBAC's kinds."""
    if name in (".", ".."):
        return f"may not be '{name}'"
    for bad in ("/", "%"):
        if bad in name:
            return f"may not contain '{bad}'"
    return None


def qualified_problem(name: str) -> str | None:
    """Why `name` is no label or annotation key, or None."""
    prefix, slash, bare = name.rpartition("/")
    if slash:
        if not prefix:
            return "prefix part must be non-empty"
        problem = subdomain_problem(prefix)
        if problem:
            return f"prefix part {problem}"
    if not bare:
        return "name part must be non-empty"
    if len(bare) > 63:
        return "name part must be no more than 63 characters"
    return None if _QUALIFIED.fullmatch(bare) else _QUALIFIED_MESSAGE


def label_value_problem(value: str) -> str | None:
    """Why `value` is no label value, or None."""
    if len(value) > 63:
        return "must be no more than 63 characters"
    return None if _VALUE.fullmatch(value) else _VALUE_MESSAGE


NAME_RULES = {
    "subdomain": subdomain_problem,
    "label": label_problem,
    "label1035": label_1035_problem,
    "path": path_problem,
}


def validate_labels(labels: object, path: str, errors: FieldErrors) -> None:
    """Keys and values of a label map."""
    for key, value in _entries(labels).items():
        problem = qualified_problem(key)
        if problem:
            errors.invalid(path, key, problem)
        if not isinstance(value, str):
            errors.type_invalid(join(path, key), value, "must be a string")
            continue
        problem = label_value_problem(value)
        if problem:
            errors.invalid(path, value, problem)


def validate_annotations(annotations: object, path: str, errors: FieldErrors) -> None:
    """Keys and total size of an annotation map."""
    size = 0
    for key, value in _entries(annotations).items():
        problem = qualified_problem(key.lower())
        if problem:
            errors.invalid(path, key, problem)
        if not isinstance(value, str):
            errors.type_invalid(join(path, key), value, "must be a string")
            continue
        size += len(key.encode()) + len(value.encode())
    if size > _MAX_ANNOTATIONS:
        errors.too_long(path, _MAX_ANNOTATIONS)


def _entries(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
