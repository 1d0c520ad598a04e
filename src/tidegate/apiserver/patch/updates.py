"""Who wrote an object before anybody applied it, kept so that it costs next to nothing.

Kubernetes lists for every manager the fields that it wrote. Here one entry with no fields, of who
made the object, stands for all that is in no other entry; a second one, of subresource `status`,
for all of the status that is in no other. Only what further managers change is listed. `expanded`
says it as Kubernetes does, for who reads an object by its name and before the first apply.
"""

from __future__ import annotations

from typing import Any, cast

from tidegate.apiserver.patch.apply import Manager
from tidegate.apiserver.patch.fieldsets import (
    FieldPath,
    FieldSet,
    from_fields_v1,
    is_owned,
    item_element,
    leaves,
    minus,
    owned_tree,
    to_fields_v1,
)
from tidegate.apiserver.registry.navigation import Place
from tidegate.apiserver.values import mapping, objects
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object

MARK = b'"fieldsV1":{}'
_STATUS = "status"
_STATUS_FIELD = f"f:{_STATUS}"


def first_entry(manager: Manager, now: str) -> Object:
    """The entry for all that is in no other."""
    return _entry(manager, {}, now)


def is_brief(obj: Object) -> bool:
    """Whether the record of an object has an entry that stands for all the rest."""
    return any(_is_rest(entry) for entry in objects(obj["metadata"].get("managedFields")))


def track_briefly(old: Object, new: Object, place: Place, manager: Manager, now: str) -> None:
    """Record in `new`, whose record is brief, what `manager` has changed of `old`."""
    entries = objects(old["metadata"].get("managedFields"))
    new["metadata"]["managedFields"] = entries
    if _same(old, new):
        return
    mine = next((entry for entry in entries if _is_of(entry, manager)), None)
    begins = manager.subresource == _STATUS and not any(_covers_status(e) for e in entries)
    if begins or (mine is not None and _is_rest(mine)):
        others = [entry for entry in entries if entry is not mine]
        entries = [*_less(others, old, new, place), _entry(manager, {}, now)]
    else:
        entries = _listed(entries, mine, old, new, place, manager, now)
    new["metadata"]["managedFields"] = entries


def expanded(obj: Object, place: Place, *, status_apart: bool) -> list[Object]:
    """The record as Kubernetes has it.

    Args:
        status_apart: the kind has a subresource `status`.
    """
    entries = objects(obj["metadata"]["managedFields"])
    try:
        fields = owned_tree(obj, place)
    except BadRequest:
        # A keyed list whose items lack a key: nobody can own such a thing.
        return entries
    of_status = {name: node for name, node in fields.items() if name == _STATUS_FIELD}
    if status_apart:
        fields.pop(_STATUS_FIELD, None)
    for entry in entries:
        listed = mapping(entry.get("fieldsV1"))
        if listed:
            fields, of_status = minus(fields, listed), minus(of_status, listed)
    shown: list[Object] = []
    for entry in entries:
        if _is_rest(entry):
            entry = {**entry, "fieldsV1": of_status if _covers_status(entry) else fields}
        if entry["fieldsV1"]:
            shown.append(entry)
    return shown


def same_entries(one: Object, other: Object) -> bool:
    """Whether two records have the same entries, whatever they list."""
    return _identities(one) == _identities(other)


def _identities(obj: Object) -> list[tuple[Any, ...]]:
    entries = objects(obj["metadata"].get("managedFields"))
    names = ("manager", "operation", "apiVersion", "subresource", "time")
    return [tuple(entry.get(name) for name in names) for entry in entries]


def _listed(
    entries: list[Object],
    mine: Object | None,
    old: Object,
    new: Object,
    place: Place,
    manager: Manager,
    now: str,
) -> list[Object]:
    try:
        changed, gone = differences(old, new, place)
    except BadRequest:
        return entries
    if manager.subresource == _STATUS:
        changed = frozenset(path for path in changed if path[0] == _STATUS_FIELD)
    others = _without([entry for entry in entries if entry is not mine], changed | gone)
    fields = (from_fields_v1(mine["fieldsV1"]) if mine else frozenset[FieldPath]()) - gone | changed
    if not fields:
        return others
    return [*others, _entry(manager, to_fields_v1(fields), now)]


def _less(entries: list[Object], old: Object, new: Object, place: Place) -> list[Object]:
    if all(_is_rest(entry) for entry in entries):
        return entries
    try:
        changed, gone = differences(old, new, place)
    except BadRequest:
        return entries
    return _without(entries, changed | gone)


def _without(entries: list[Object], taken: FieldSet) -> list[Object]:
    kept: list[Object] = []
    for entry in entries:
        fields = from_fields_v1(entry.get("fieldsV1"))
        left = fields - taken
        if _is_rest(entry) or len(left) == len(fields):
            kept.append(entry)
        elif left:
            kept.append({**entry, "fieldsV1": to_fields_v1(left)})
    return kept


def differences(old: Object, new: Object, place: Place) -> tuple[FieldSet, FieldSet]:
    """The fields that are new or have another value, and those that have gone.

    Raises:
        BadRequest: an item of a keyed list lacks its key.
    """
    changed: set[FieldPath] = set()
    gone: set[FieldPath] = set()
    _compare(old, new, place, (), changed, gone)
    return (
        frozenset(path for path in changed if is_owned(path)),
        frozenset(path for path in gone if is_owned(path)),
    )


def _compare(
    old: Any,
    new: Any,
    place: Place,
    path: FieldPath,
    changed: set[FieldPath],
    gone: set[FieldPath],
) -> None:
    if old == new:
        return
    before, after = _parts(old, place), _parts(new, place)
    if before is None or after is None:
        now_there = set(leaves(new, place, path))
        changed |= now_there
        gone |= set(leaves(old, place, path)) - now_there
        return
    for element in before.keys() | after.keys():
        inside, there = _inside(element, place), (*path, element)
        if element not in after:
            gone |= _of_item(before[element], inside, there)
        elif element not in before:
            changed |= _of_item(after[element], inside, there)
        else:
            _compare(before[element], after[element], inside, there, changed, gone)


def _parts(value: Any, place: Place) -> dict[str, Any] | None:
    """What a value is made of, by element; None for one that is a field of its own."""
    if isinstance(value, dict) and value and not place.map_is_atomic:
        return {f"f:{name}": item for name, item in cast("Object", value).items()}
    if isinstance(value, list) and value and place.list_type != "atomic":
        return {item_element(item, place): item for item in cast("list[Any]", value)}
    return None


def _inside(element: str, place: Place) -> Place:
    return place.field(element[2:]) if element.startswith("f:") else place.item


def _of_item(value: Any, place: Place, path: FieldPath) -> set[FieldPath]:
    if path[-1].startswith("v:"):
        return {path}
    found = set(leaves(value, place, path))
    return found | {(*path, ".")} if path[-1].startswith("k:") else found


def _entry(manager: Manager, fields: Object, now: str) -> Object:
    entry: Object = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def _is_rest(entry: Object) -> bool:
    return not mapping(entry.get("fieldsV1"))


def _covers_status(entry: Object) -> bool:
    return _is_rest(entry) and entry.get("subresource") == _STATUS


def _is_of(entry: Object, manager: Manager) -> bool:
    return (
        entry.get("manager") == manager.name
        and entry.get("operation") == manager.operation
        and entry.get("apiVersion") == manager.api_version
        and entry.get("subresource", "") == manager.subresource
    )


def _same(old: Object, new: Object) -> bool:
    return all(
        old.get(name) == new.get(name) for name in old.keys() | new.keys() if name != "metadata"
    ) and _told(old) == _told(new)


def _told(obj: Object) -> Object:
    unsaid = ("managedFields", "resourceVersion")
    return {name: value for name, value in obj["metadata"].items() if name not in unsaid}
