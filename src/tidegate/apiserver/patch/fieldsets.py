"""Sets of fields, as `managedFields` keeps them, and the values behind them.

A set is either a tree as FieldsV1 has it, which is what is made of an object and shown, or paths,
with which can be reckoned. A path is a tuple of elements in the notation of FieldsV1: `f:NAME` a
field, `k:{...}` the item of a keyed list, `v:VALUE` the item of a set; a last `.` means the item
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import orjson

from tidegate.apiserver.registry.navigation import Place
from tidegate.apiserver.values import mapping
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object

FieldPath = tuple[str, ...]
FieldSet = frozenset[FieldPath]

SELF = "."
_MISSING = object()
# Keys that the server fills in may be left out by who applies.
_KEY_DEFAULTS = {"protocol": "TCP"}
_METADATA = "f:metadata"
_UNOWNED_METADATA = (
    "name",
    "namespace",
    "generateName",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_UNOWNED: Object = {
    "f:apiVersion": {},
    "f:kind": {},
    _METADATA: {f"f:{name}": {} for name in _UNOWNED_METADATA},
}


def owned_tree(obj: Object, place: Place) -> Object:
    """The fields that an object sets, without those that nobody can own, as a tree in order.

    Raises:
        BadRequest: an item of a keyed list lacks its key.
    """
    tree: Object = {}
    for name in sorted(obj):
        unowned = _UNOWNED.get(f"f:{name}")
        if unowned == {}:
            continue
        value = obj[name]
        if unowned and isinstance(value, dict) and value:
            metadata = cast("Object", value)
            value = {key: metadata[key] for key in metadata if f"f:{key}" not in unowned}
            if not value:
                continue
        _grow(tree.setdefault(f"f:{name}", {}), value, place.field(name))
    return tree


def minus(tree: Object, taken: Object) -> Object:
    """The tree without the fields of another; the first is not changed."""
    left: Object = {}
    for element, inside in tree.items():
        if element not in taken:
            left[element] = inside
        elif inside:
            rest = minus(inside, mapping(taken[element]))
            if rest:
                left[element] = rest
        elif taken[element]:
            left[element] = inside
    return left


def field_set(obj: Object, place: Place) -> FieldSet:
    """The paths of `owned_tree`. Raises BadRequest as it does."""
    return from_fields_v1(owned_tree(obj, place))


def is_owned(path: FieldPath) -> bool:
    """Whether somebody can own the field."""
    unowned = _UNOWNED.get(path[0])
    return unowned is None or (bool(unowned) and (len(path) == 1 or path[1] not in unowned))


def to_fields_v1(fields: Iterable[FieldPath]) -> Object:
    """The nested form of a set."""
    root: Object = {}
    for path in sorted(fields):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    return root


def from_fields_v1(value: Any) -> FieldSet:
    """The set behind the nested form."""
    return frozenset(_paths(mapping(value), ()))


def value_at(obj: Any, path: FieldPath) -> Any:
    """The value at a path; a marker that equals nothing else where there is none."""
    for element in path:
        if element == SELF:
            return True if obj is not _MISSING else _MISSING
        obj = _step(obj, element)
        if obj is _MISSING:
            return _MISSING
    return obj


def without(obj: Object, path: FieldPath) -> Object:
    """A copy of `obj` in which the field or item at `path` is not there."""
    return cast("Object", _without(obj, path[:-1] if path[-1] == SELF else path))


def show_path(path: FieldPath) -> str:
    """A path for people: `.spec.containers[name="a"].image`."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = mapping(orjson.loads(rest))
            inner = ",".join(f"{name}={orjson.dumps(v).decode()}" for name, v in keys.items())
            text += f"[{inner}]"
        elif kind == "v":
            text += f"[={rest}]"
    return text


def item_element(item: Any, place: Place) -> str:
    """The element that names an item of a list that is a set or keyed."""
    if place.list_type == "set":
        return "v:" + orjson.dumps(item).decode()
    values = mapping(item)
    keys = {key: values.get(key, _KEY_DEFAULTS.get(key)) for key in place.list_keys}
    missing = [key for key, part in keys.items() if part is None]
    if missing:
        raise BadRequest(
            f"associative list with keys has an element that omits key field {missing[0]!r}: {item}"
        )
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def leaves(value: Any, place: Place, path: FieldPath) -> Iterator[FieldPath]:
    """The paths of the fields of the value at `path`. Raises BadRequest as `item_element`."""
    tree: Object = {}
    _grow(tree, value, place)
    return _paths(tree, path) if tree else iter((path,))


def _grow(tree: Object, value: Any, place: Place) -> None:
    """Add the fields inside a value to the tree at its field; a value that is one adds none."""
    if isinstance(value, dict):
        if not place.map_is_atomic:
            _grow_fields(tree, cast("Object", value), place)
    elif isinstance(value, list) and place.list_type != "atomic":
        named = [(item_element(item, place), item) for item in cast("list[Any]", value)]
        for element, item in sorted(named, key=_first):
            inside = tree.setdefault(element, {})
            if place.list_type == "map":
                inside[SELF] = {}
                _grow_fields(inside, mapping(item), place.item)


def _grow_fields(tree: Object, fields: Object, place: Place) -> None:
    for name in sorted(fields):
        inside = tree.setdefault(f"f:{name}", {})
        value = fields[name]
        if isinstance(value, (dict, list)):
            _grow(inside, value, place.field(name))


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _paths(node: Object, path: FieldPath) -> Iterator[FieldPath]:
    for element, children in node.items():
        nested = mapping(children)
        if element == SELF or not nested:
            yield (*path, element)
        else:
            yield from _paths(nested, (*path, element))


def _step(value: Any, element: str) -> Any:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return mapping(value).get(rest, _MISSING)
    index = _index(value, element)
    return _MISSING if index is None else value[index]


def _index(value: Any, element: str) -> int | None:
    if not isinstance(value, list):
        return None
    kind, _, rest = element.partition(":")
    wanted = orjson.loads(rest)
    for index, item in enumerate(cast("list[Any]", value)):
        if kind == "v" and item == wanted:
            return index
        if kind == "k" and _has_keys(mapping(item), mapping(wanted)):
            return index
    return None


def _has_keys(item: Object, keys: Object) -> bool:
    return all(item.get(name, _KEY_DEFAULTS.get(name)) == v for name, v in keys.items())


def _without(value: Any, path: FieldPath) -> Any:
    head, *rest = path
    if head.startswith("f:"):
        name = head[2:]
        entries = mapping(value)
        if name not in entries:
            return value
        if not rest:
            return {key: item for key, item in entries.items() if key != name}
        changed = _without(entries[name], tuple(rest))
        return {**entries, name: changed}
    index = _index(value, head)
    if index is None:
        return value
    items = list(cast("list[Any]", value))
    if rest:
        items[index] = _without(items[index], tuple(rest))
    else:
        del items[index]
    return items
