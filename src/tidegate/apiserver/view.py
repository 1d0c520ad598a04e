"""The cluster as a kind's `prepare` sees it: the newest state, writes on their way included."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.apiserver.storage.store import Store
from tidegate.kube.objects import Key, Object
from tidegate.kube.resources import NAMESPACES, Resource


def bucket_of(resource: Resource) -> str:
    """The store's bucket of a resource."""
    return f"{resource.group}/{resource.plural}"


class StoreView:
    """Satisfies `registry.spec.ClusterView`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, resource: Resource, key: Key) -> Object | None:
        stored = self._store.newest(bucket_of(resource), key)
        return stored.object if stored else None

    def all(self, resource: Resource, namespace: str | None = None) -> Iterable[Object]:
        items = self._store.newest_items(bucket_of(resource), namespace)
        return [stored.object for stored in items]

    def namespace(self, name: str) -> Object | None:
        """The namespace object, or None."""
        return self.find(NAMESPACES, Key("", name))
