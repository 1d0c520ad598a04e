"""Strategic merge patch: merge patch that knows which lists are keyed, and its directives.

Behaves as Kubernetes documents it: `$patch: replace|delete|merge`, `$retainKeys`,
`$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`. A merged list is in the order of
`$setElementOrder` (of the patch when there is none), with the items that only the object has kept
in their place relative to those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from tidegate.apiserver.registry.navigation import Place
from tidegate.apiserver.values import mapping
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"

Identity = Callable[[Any], Any]


def strategic_merge(target: Object, patch: Object, place: Place) -> Object:
    """`target` with `patch` merged in; neither is changed.

    Raises:
        BadRequest: a directive is malformed or an item lacks its merge key.
    """
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return _clean({k: v for k, v in patch.items() if k != _DIRECTIVE}, place)
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"error decoding patch: unknown patch type {directive!r}")
    result = _retained(target, patch)
    for key, value in patch.items():
        if key.startswith((_DELETE, _ORDER)) or key in (_DIRECTIVE, _RETAIN):
            continue
        _merge_field(result, key, value, patch, place)
    _apply_list_directives(result, patch, place)
    return result


def _merge_field(result: Object, key: str, value: Any, patch: Object, place: Place) -> None:
    known = result.get(key)
    field = place.field(key)
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        change = mapping(value)  # pyright: ignore[reportUnknownArgumentType]
        result[key] = strategic_merge(mapping(known), change, field)
        if change.get(_DIRECTIVE) == "delete":
            del result[key]
    elif isinstance(value, list) and field.merges:
        items = cast("list[Any]", value)
        order = patch.get(_ORDER + key)
        result[key] = _merge_list(_list(known), items, order, field)
    else:
        result[key] = _clean(value, field)


def _retained(target: Object, patch: Object) -> Object:
    retain = patch.get(_RETAIN)
    if retain is None:
        return dict(target)
    keys = set(_list(retain))
    extra = [
        k for k, v in patch.items() if not k.startswith("$") and v is not None and k not in keys
    ]
    if extra:
        raise BadRequest(f"error decoding patch: {extra[0]!r} is not in $retainKeys")
    return {key: value for key, value in target.items() if key in keys}


def _apply_list_directives(result: Object, patch: Object, place: Place) -> None:
    for key, value in patch.items():
        if key.startswith(_DELETE):
            name = key.removeprefix(_DELETE)
            gone = _list(value)
            if name in result:
                result[name] = [item for item in _list(result[name]) if item not in gone]
        elif key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            if name in result and name not in patch:
                known = _list(result[name])
                result[name] = _ordered(known, known, _list(value), _identity(place.field(name)))


def _merge_list(known: list[Any], items: list[Any], order: Any, place: Place) -> list[Any]:
    identity = _identity(place)
    if not place.merge_key:
        merged = known + [item for item in items if item not in known]
        return _ordered(merged, known, _list(order) if order is not None else items, identity)
    plain: list[Object] = []
    merged = list(known)
    for item in (mapping(item) for item in items):
        directive = item.get(_DIRECTIVE)
        if directive == "replace":
            rest = [i for i in map(mapping, items) if i.get(_DIRECTIVE) != "replace"]
            return [_clean(i, place.item) for i in rest]
        if directive == "delete":
            gone = identity(item)
            merged = [other for other in merged if identity(other) != gone]
        else:
            plain.append(item)
    for item in plain:
        _merge_item(merged, item, place, identity)
    return _ordered(merged, known, _list(order) if order is not None else plain, identity)


def _merge_item(merged: list[Any], item: Object, place: Place, identity: Identity) -> None:
    wanted = identity(item)
    for index, other in enumerate(merged):
        if identity(other) == wanted:
            merged[index] = strategic_merge(mapping(other), item, place.item)
            return
    merged.append(strategic_merge({}, item, place.item))


def _ordered(
    merged: list[Any], known: list[Any], order: list[Any], identity: Identity
) -> list[Any]:
    wanted = [identity(item) for item in order]
    before = [identity(item) for item in known]
    named = [item for item in merged if identity(item) in wanted]
    named.sort(key=lambda item: wanted.index(identity(item)))
    others = [item for item in merged if identity(item) not in wanted]
    others.sort(key=lambda item: _position(before, identity(item)))
    result: list[Any] = []
    while named and others:
        left, right = identity(others[0]), identity(named[0])
        both_known = left in before and right in before
        first = both_known and before.index(left) < before.index(right)
        result.append(others.pop(0) if first else named.pop(0))
    return [*result, *named, *others]


def _position(known: list[Any], identity: Any) -> int:
    return known.index(identity) if identity in known else len(known)


def _identity(place: Place) -> Identity:
    key = place.merge_key
    if not key:
        return lambda item: item

    def identity(item: Any) -> Any:
        value = mapping(item).get(key)
        if value is None:
            raise BadRequest(
                f"error decoding patch: map {item} does not contain declared merge key: {key}"
            )
        return value

    return identity


def _clean(value: Any, place: Place) -> Any:
    """A value that is new in the object: without nulls and directives."""
    if isinstance(value, dict):
        return strategic_merge({}, mapping(value), place)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, list):
        return [_clean(item, place.item) for item in cast("list[Any]", value)]
    return value


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
