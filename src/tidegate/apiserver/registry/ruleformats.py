"""`format` in rules: the formats that Kubernetes names, and what of a text is against them.

https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-format-library
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidegate.apiserver.registry.formats import has_form
from tidegate.apiserver.registry.names import (
    label_1035_problem,
    label_problem,
    label_value_problem,
    qualified_problem,
    subdomain_problem,
)

_PREFIX = "Prefix"
# A prefix may end in a dash.
_REST = "a"


def _form(name: str) -> Callable[[str], str | None]:
    return lambda text: None if has_form(name, text) else f"must be a valid {name}"


def _prefix(problem: Callable[[str], str | None]) -> Callable[[str], str | None]:
    return lambda text: problem(f"{text[:-1]}{_REST}" if text.endswith("-") else text)


_FORMATS: Mapping[str, Callable[[str], str | None]] = {
    **{name: _form(name) for name in ("byte", "date", "datetime", "uri", "uuid")},
    "dns1035Label": label_1035_problem,
    f"dns1035Label{_PREFIX}": _prefix(label_1035_problem),
    "dns1123Label": label_problem,
    f"dns1123Label{_PREFIX}": _prefix(label_problem),
    "dns1123Subdomain": subdomain_problem,
    f"dns1123Subdomain{_PREFIX}": _prefix(subdomain_problem),
    "labelValue": label_value_problem,
    "qualifiedName": qualified_problem,
}


def format_functions(optional: Any) -> dict[str, Callable[..., Any]]:
    """The functions, in which a format is its name; `optional` makes the library's optionals."""

    def named(_: str, name: str) -> Any:
        return optional.of(name) if name in _FORMATS else optional.none()

    def validate(name: str, text: str) -> Any:
        problem = _FORMATS[name](text)
        return optional.of([problem]) if problem else optional.none()

    def constant(name: str) -> Callable[[str], str]:
        return lambda _: name

    return {**{name: constant(name) for name in _FORMATS}, "named": named, "validate": validate}
