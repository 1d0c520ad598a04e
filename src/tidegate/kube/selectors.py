"""Label and field selectors: parsing, matching, and the structured form in specs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object, labels_of

_SET_TERM = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")


@dataclass(frozen=True)
class Requirement:
    """One term: `operator` is one of In, NotIn, Exists, DoesNotExist and, with one value, Gt, Lt.

    Only nodes can be selected by Gt and Lt, whole numbers both in the label and in the term.
    """

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        present = self.key in labels
        if self.operator == "Exists":
            return present
        if self.operator == "DoesNotExist":
            return not present
        if self.operator == "In":
            return present and labels[self.key] in self.values
        if self.operator in ("Gt", "Lt"):
            return present and self._compares(labels[self.key])
        return not present or labels[self.key] not in self.values

    def _compares(self, label: str) -> bool:
        try:
            (limit,) = map(int, self.values)
            number = int(label)
        except ValueError:
            return False
        return number > limit if self.operator == "Gt" else number < limit


@dataclass(frozen=True)
class Selector:
    """All requirements must hold; none selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    def matches_object(self, obj: Object) -> bool:
        return self.matches(labels_of(obj))


def parse_label_selector(text: str) -> Selector:
    """Parse the query form, e.g. `app=web,tier in (a, b),!canary`.

    Raises:
        BadRequest: with the offending term.
    """
    return Selector(tuple(_requirement(term) for term in _split_terms(text)))


def selector_from_spec(spec: Mapping[str, Any] | None) -> Selector:
    """From a `LabelSelector` object; None selects nothing that carries a requirement."""
    spec = spec or {}
    labels: Mapping[str, str] = spec.get("matchLabels") or {}
    terms = [Requirement(key, "In", frozenset((value,))) for key, value in labels.items()]
    expressions: list[Mapping[str, Any]] = spec.get("matchExpressions") or []
    terms.extend(
        Requirement(e["key"], e["operator"], frozenset(e.get("values") or ())) for e in expressions
    )
    return Selector(tuple(terms))


def selector_from_map(labels: Mapping[str, str] | None) -> Selector:
    """From an equality map, as in a Service's `spec.selector`."""
    return Selector(tuple(Requirement(k, "In", frozenset((v,))) for k, v in (labels or {}).items()))


def parse_field_selector(text: str) -> Callable[[Object], bool]:
    """Parse e.g. `metadata.name=x,status.phase!=Running` into a predicate on objects.

    A field that an object lacks counts as the empty string, as in Kubernetes.

    Raises:
        BadRequest: with the offending term.
    """
    terms = [_field_term(term) for term in _split_terms(text)]

    def matches(obj: Object) -> bool:
        return all((_field(obj, path) == value) is equal for path, value, equal in terms)

    return matches


def _field_term(term: str) -> tuple[tuple[str, ...], str, bool]:
    for separator, equal in (("!=", False), ("==", True), ("=", True)):
        path, found, value = term.partition(separator)
        if found:
            return tuple(path.strip().split(".")), value.strip(), equal
    raise BadRequest(f"invalid field selector term {term!r}: expected path=value or path!=value")


def _field(obj: Object, path: tuple[str, ...]) -> str:
    value: Any = obj
    for part in path:
        value = cast("Object", value).get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _split_terms(text: str) -> list[str]:
    terms: list[str] = []
    depth = 0
    current = ""
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0:
            terms.append(current)
            current = ""
        else:
            current += char
    terms.append(current)
    return [term.strip() for term in terms if term.strip()]


def _requirement(term: str) -> Requirement:
    match = _SET_TERM.match(term)
    if match:
        values = frozenset(value.strip() for value in match["values"].split(","))
        operator = "In" if match["op"] == "in" else "NotIn"
        return _checked(Requirement(match["key"], operator, values), term)
    if term.startswith("!"):
        return _checked(Requirement(term[1:].strip(), "DoesNotExist"), term)
    for separator, operator in (("!=", "NotIn"), ("==", "In"), ("=", "In")):
        key, found, value = term.partition(separator)
        if found:
            return _checked(Requirement(key.strip(), operator, frozenset((value.strip(),))), term)
    return _checked(Requirement(term, "Exists"), term)


def _checked(requirement: Requirement, term: str) -> Requirement:
    if not _KEY.match(requirement.key):
        raise BadRequest(f"invalid label selector term {term!r}: {requirement.key!r} is no key")
    for value in requirement.values:
        if not _VALUE.match(value) or len(value) > 63:
            raise BadRequest(f"invalid label selector term {term!r}: {value!r} is no label value")
    return requirement
