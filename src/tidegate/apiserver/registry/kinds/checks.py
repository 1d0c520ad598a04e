"""Small rules that the validations of several kinds share, in Kubernetes' words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.names import label_problem, subdomain_problem
from tidegate.kube.objects import Object

T = TypeVar("T")

PROTOCOLS = ("SCTP", "TCP", "UDP")

_IP_MESSAGE = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_PORT_MESSAGE = "must be between 1 and 65535, inclusive"
_WILDCARD_MESSAGE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which"
    " must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric"
    " character (e.g. '*.example.com', regex used for validation is"
    r" '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_PORT_NAME_RULES = (
    (re.compile(r".{0,15}", re.DOTALL), "must be no more than 15 characters"),
    (
        re.compile(r"[-a-z0-9]*"),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    ),
    (re.compile(r".*[a-z].*", re.DOTALL), "must contain at least one letter (a-z)"),
    (re.compile(r"(?!.*--).*", re.DOTALL), "must not contain consecutive hyphens"),
    (re.compile(r"(?!-).*(?<!-)", re.DOTALL), "must not begin or end with a hyphen"),
)


def placed(items: Iterable[T], path: str) -> Iterator[tuple[str, T]]:
    """The items of the list at `path`, each behind the path of its own."""
    return ((f"{path}[{index}]", item) for index, item in enumerate(items))


def supported(
    obj: Object, field: str, values: Sequence[str], path: str, errors: FieldErrors
) -> None:
    """A field, where given, must have one of these values."""
    value = obj.get(field)
    if value is not None and value not in values:
        errors.not_supported(f"{path}.{field}" if path else field, value, values)


def not_negative(obj: Object, field: str, path: str, errors: FieldErrors) -> None:
    """A number, where given, must not be negative."""
    within(obj, field, path, errors, low=0, detail="must be greater than or equal to 0")


def within(
    obj: Object,
    field: str,
    path: str,
    errors: FieldErrors,
    *,
    low: int,
    high: int | None = None,
    detail: str = "",
) -> None:
    """A number, where given, must be from `low` to `high`; `detail` says it otherwise."""
    value = obj.get(field)
    if value is not None and (value < low or (high is not None and value > high)):
        errors.invalid(
            f"{path}.{field}", value, detail or f"must be between {low} and {high}, inclusive"
        )


def form(
    obj: Object,
    field: str,
    problem_of: Callable[[str], str | None],
    path: str,
    errors: FieldErrors,
) -> None:
    """A text, where given and not empty, must have a form; `problem_of` tells what it lacks."""
    value = obj.get(field)
    if value:
        validate_text(value, problem_of, f"{path}.{field}" if path else field, errors)


def validate_text(
    value: Any, problem_of: Callable[[str], str | None], path: str, errors: FieldErrors
) -> None:
    """A text must have a form; `problem_of` tells what it lacks."""
    problem = problem_of(str(value))
    if problem:
        errors.invalid(path, value, problem)


def validate_port(value: Any, path: str, errors: FieldErrors) -> None:
    """A port number."""
    if type(value) is int and not 1 <= value <= 65535:
        errors.invalid(path, value, _PORT_MESSAGE)


def validate_port_name(value: str, path: str, errors: FieldErrors) -> None:
    """A port's name: an IANA service name."""
    for rule, detail in _PORT_NAME_RULES:
        if not rule.fullmatch(value):
            errors.invalid(path, value, detail)


def validate_port_or_name(value: Any, path: str, errors: FieldErrors) -> None:
    """A port by number or by name."""
    if isinstance(value, str) and value:
        validate_port_name(value, path, errors)
    else:
        validate_port(value, path, errors)


def ip_problem(value: str) -> str | None:
    """Why `value` is no IP address, or None."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return _IP_MESSAGE
    return None


def wildcard_problem(value: str) -> str | None:
    """Why `value` is no subdomain and no wildcard of one, or None."""
    if "*" not in value:
        return subdomain_problem(value)
    if value.startswith("*.") and not subdomain_problem(value[2:]):
        return None
    return _WILDCARD_MESSAGE


def validate_name(value: Any, path: str, taken: set[str], errors: FieldErrors) -> None:
    """A DNS label that is unique among those `taken`, to which it is added."""
    if not value:
        errors.required(path)
        return
    problem = label_problem(str(value))
    if problem:
        errors.invalid(path, value, problem)
    elif value in taken:
        errors.duplicate(path, value)
    taken.add(str(value))
