"""Which objects a list or watch wants: namespace, name, labels and fields, as one predicate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.storage.stored import Stored
from tidegate.apiserver.versions import served
from tidegate.kube.errors import BadRequest
from tidegate.kube.selectors import parse_field_selector, parse_label_selector

Predicate = Callable[[Stored], bool]


@dataclass(frozen=True)
class Selection:
    """`matches` is None when everything in the namespace is wanted."""

    namespace: str | None
    matches: Predicate | None


def selection(
    spec: KindSpec, namespace: str | None, label_selector: str, field_selector: str
) -> Selection:
    """Parse the selectors.

    Raises:
        BadRequest: a selector is malformed or names a field the kind cannot be selected by.
    """
    predicates: list[Predicate] = []
    if label_selector:
        parsed = parse_label_selector(label_selector)
        if parsed.requirements:
            predicates.append(lambda stored: parsed.matches(stored.labels))
    if field_selector:
        _check_fields(spec, field_selector)
        fields = parse_field_selector(field_selector)
        predicates.append(lambda stored: fields(served(spec, stored).object))
    return Selection(namespace if spec.resource.namespaced else None, _all(predicates))


def exact_name(field_selector: str) -> str:
    """The one name that a field selector allows, for rules with `resourceNames`; else empty.

    A selector that cannot be read allows none: it is refused where it is used.
    """
    for term in field_selector.split(","):
        path, found, name = term.partition("=")
        if found and path.strip() == "metadata.name":
            name = name.removeprefix("=").strip()
            return "" if name in (".", "..") or "/" in name or "%" in name else name
    return ""


def _all(predicates: list[Predicate]) -> Predicate | None:
    if len(predicates) < 2:
        return predicates[0] if predicates else None
    return lambda stored: all(predicate(stored) for predicate in predicates)


def _check_fields(spec: KindSpec, text: str) -> None:
    known = ("metadata.name", "metadata.namespace", *spec.selectable_fields)
    for term in text.split(","):
        path = term.partition("=")[0].rstrip("!").strip()
        if path and path not in known:
            raise BadRequest(
                f'Unable to find "{spec.resource.qualified}" that match field selector'
                f' "{text}": field label not supported: {path}'
            )
