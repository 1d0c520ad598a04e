"""Server-side apply: a manager says what it wants of the fields it cares for.

Ownership is recorded in `metadata.managedFields`, from the first apply of an object on. What was
there before belongs to `before-first-apply`, or to `kubectl-client-side-apply` where kubectl has
left its annotation; after that every change by another verb goes to its own manager.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from tidegate.apiserver.patch.fieldsets import (
    SELF,
    FieldPath,
    FieldSet,
    field_set,
    from_fields_v1,
    item_element,
    show_path,
    to_fields_v1,
    value_at,
    without,
)
from tidegate.apiserver.registry.navigation import Place
from tidegate.apiserver.values import mapping, objects
from tidegate.kube.errors import BadRequest, Cause, Conflict, Invalid
from tidegate.kube.objects import Object, annotations_of

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_EMPTY: FieldSet = frozenset()


@dataclass(frozen=True)
class Manager:
    """Who applies or updates, and through which door."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True)
class Entry:
    """One entry of managedFields."""

    manager: Manager
    fields: FieldSet
    time: str

    def to_dict(self) -> Object:
        entry: Object = {
            "manager": self.manager.name,
            "operation": self.manager.operation,
            "apiVersion": self.manager.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(self.fields),
        }
        if self.manager.subresource:
            entry["subresource"] = self.manager.subresource
        return entry


def server_side_apply(
    live: Object | None, config: Object, place: Place, manager: Manager, *, force: bool, now: str
) -> tuple[Object, list[Object]]:
    """The object after `config` has been applied to `live`, and its managedFields.

    Raises:
        BadRequest, Invalid: the configuration or the manager cannot be used.
        Conflict: another manager owns a field and wants another value; `force` takes it over.
    """
    _check(config, manager)
    wanted = _own_part(field_set(config, place), manager)
    entries = _entries(live, place, now) if live is not None else []
    mine = next((entry for entry in entries if entry.manager == manager), None)
    others = [entry for entry in entries if entry is not mine]
    taken = {e.manager: _disputed(live or {}, config, wanted, e.fields) for e in others}
    if not force:
        _refuse_conflicts(taken)
    others = [replace(e, fields=e.fields - taken[e.manager]) for e in others]
    result = merge_applied(live or {}, config, place)
    dropped = (mine.fields if mine else _EMPTY) - wanted
    result = _drop(result, dropped, wanted.union(*(entry.fields for entry in others)))
    time = mine.time if mine is not None and mine.fields == wanted else now
    kept = [*others, Entry(manager, wanted, time)]
    return result, [entry.to_dict() for entry in kept if entry.fields]


def track_update(
    old: Object, new: Object, place: Place, manager: Manager, now: str
) -> list[Object]:
    """The managedFields after an update: what changed belongs to who changed it.

    `new` holds the record as it was before, or as the update wants it.
    """
    entries = _entries(new, place, now)
    before, after = field_set(old, place), field_set(new, place)
    changed = frozenset(
        path for path in after if path not in before or value_at(old, path) != value_at(new, path)
    )
    gone = before - after
    if not changed and not gone:
        return objects(new["metadata"]["managedFields"])
    tracked = [
        replace(e, fields=e.fields - gone - changed) for e in entries if e.manager != manager
    ]
    mine = next((entry.fields for entry in entries if entry.manager == manager), _EMPTY)
    tracked.append(Entry(manager, (mine - gone) | changed, now))
    return [entry.to_dict() for entry in tracked if entry.fields]


def merge_applied(live: Any, config: Any, place: Place) -> Any:
    """`live` with `config` laid over it; lists that are keyed or sets are merged."""
    if isinstance(config, dict) and isinstance(live, dict) and not place.map_is_atomic:
        result = dict(cast("Object", live))
        for name, value in cast("Object", config).items():
            result[name] = (
                merge_applied(result[name], value, place.field(name)) if name in result else value
            )
        return result
    if isinstance(config, list) and isinstance(live, list) and place.list_type != "atomic":
        return _merge_items(cast("list[Any]", live), cast("list[Any]", config), place)
    return config  # pyright: ignore[reportUnknownVariableType]


def _merge_items(live: list[Any], config: list[Any], place: Place) -> list[Any]:
    wanted = {item_element(item, place): item for item in config}
    result: list[Any] = []
    for item in live:
        element = item_element(item, place)
        if element in wanted:
            result.append(merge_applied(item, wanted.pop(element), place.item))
        else:
            result.append(item)
    return [*result, *wanted.values()]


def _check(config: Object, manager: Manager) -> None:
    if not manager.name:
        message = "Required value: is required for apply patch"
        raise Invalid(
            f'PatchOptions.meta.k8s.io "" is invalid: fieldManager: {message}',
            causes=(Cause("FieldValueRequired", message, "fieldManager"),),
        )
    if mapping(config.get("metadata")).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")


def _own_part(fields: FieldSet, manager: Manager) -> FieldSet:
    if manager.subresource == "status":
        return frozenset(path for path in fields if path[0] == "f:status")
    return frozenset(path for path in fields if path[0] != "f:status")


def _entries(live: Object, place: Place, now: str) -> list[Entry]:
    recorded = [
        Entry(
            Manager(
                str(entry.get("manager") or ""),
                str(entry.get("operation") or ""),
                str(entry.get("apiVersion") or ""),
                str(entry.get("subresource") or ""),
            ),
            from_fields_v1(entry.get("fieldsV1")),
            str(entry.get("time") or now),
        )
        for entry in objects(live["metadata"].get("managedFields"))
    ]
    if recorded:
        return recorded
    by_kubectl = _LAST_APPLIED in annotations_of(live)
    name = "kubectl-client-side-apply" if by_kubectl else "before-first-apply"
    manager = Manager(name, "Update", str(live["apiVersion"]))
    return [Entry(manager, field_set(live, place), now)]


def _disputed(live: Object, config: Object, wanted: FieldSet, owned: FieldSet) -> FieldSet:
    return frozenset(
        path
        for path in wanted & owned
        if path[-1] != SELF and value_at(live, path) != value_at(config, path)
    )


def _refuse_conflicts(taken: dict[Manager, FieldSet]) -> None:
    causes = [
        Cause(
            "FieldManagerConflict",
            f"conflict with {_named(manager)}",
            show_path(path),
        )
        for manager, paths in taken.items()
        for path in sorted(paths)
    ]
    if not causes:
        return
    count = "1 conflict" if len(causes) == 1 else f"{len(causes)} conflicts"
    listed = "\n".join(f"{cause.message}: {cause.field}" for cause in causes)
    separator = " " if len(causes) == 1 else "\n"
    raise Conflict(f"Apply failed with {count}:{separator}{listed}", causes=causes)


def _named(manager: Manager) -> str:
    """A manager as Kubernetes names it in conflicts; whoever applies, whatever the version."""
    text = f'"{manager.name}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return f"{text} using {manager.api_version}" if manager.operation == "Update" else text


def _drop(obj: Object, dropped: FieldSet, owned: FieldSet) -> Object:
    """Take out what this manager no longer wants and nobody else owns.

    Items go before their fields, for without its key fields an item would not be found.
    """
    for path in sorted(dropped - owned, key=lambda path: (len(path), path[-1] != SELF)):
        # A field that was empty when it was applied may have been filled since.
        place = path[:-1] if path[-1] == SELF else path
        if _has_owner_inside(place, owned):
            continue
        obj = without(obj, path)
    return obj


def _has_owner_inside(prefix: FieldPath, owned: FieldSet) -> bool:
    return any(path[: len(prefix)] == prefix for path in owned)
