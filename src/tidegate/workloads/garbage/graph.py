"""Who depends on whom, over all collected resources: the memory of the garbage collector."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.kube.objects import Key, Object, key_of, owner_references_of, uid_of
from tidegate.kube.resources import Resource


@dataclass(frozen=True)
class Item:
    """One object of one resource; the uid tells it from a later one of the same name."""

    resource: Resource
    key: Key
    uid: str

    def __str__(self) -> str:
        return f"{self.resource.qualified} {self.key}"


class OwnershipGraph:
    """Objects by uid, and the dependents of each owner uid, present or not."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._owners: dict[str, frozenset[str]] = {}
        self._dependents: dict[str, set[Item]] = {}

    def put(self, resource: Resource, obj: Object) -> Item:
        """Add an object or note its present owners."""
        item = Item(resource, key_of(obj), uid_of(obj))
        owners = frozenset(str(r.get("uid", "")) for r in owner_references_of(obj))
        for gone in self._owners.get(item.uid, frozenset()) - owners:
            self._forget_dependent(gone, item)
        for owner in owners:
            self._dependents.setdefault(owner, set()).add(item)
        self._items[item.uid] = item
        self._owners[item.uid] = owners
        return item

    def remove(self, resource: Resource, obj: Object) -> Item:
        """Drop an object; its dependents stay known."""
        item = Item(resource, key_of(obj), uid_of(obj))
        for owner in self._owners.pop(item.uid, frozenset()):
            self._forget_dependent(owner, item)
        self._items.pop(item.uid, None)
        return item

    def find(self, uid: str) -> Item | None:
        return self._items.get(uid)

    def dependents(self, uid: str) -> list[Item]:
        return list(self._dependents.get(uid, ()))

    def owners(self, uid: str) -> frozenset[str]:
        return self._owners.get(uid, frozenset())

    def _forget_dependent(self, owner: str, item: Item) -> None:
        dependents = self._dependents.get(owner)
        if dependents is None:
            return
        dependents.discard(item)
        if not dependents:
            del self._dependents[owner]
