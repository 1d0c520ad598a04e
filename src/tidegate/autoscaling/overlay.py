"""What we wrote and the cache has not seen yet, so that no decision is made twice."""

from __future__ import annotations

from tidegate.kube.informer import Informer
from tidegate.kube.objects import Key, Object, key_of, resource_version_of


class Overlay:
    """An informer's objects with our own last writes laid over them.

    A write counts until the cache shows anything newer than what was written over.
    """

    def __init__(self, informer: Informer) -> None:
        self._informer = informer
        self._written: dict[Key, tuple[str, Object]] = {}

    def wrote(self, before: Object, after: Object) -> None:
        """Note that `before` has become `after`."""
        version = resource_version_of(before)
        if version == resource_version_of(after):
            return
        known = self._written.get(key_of(before))
        if known is not None and resource_version_of(known[1]) == version:
            version = known[0]  # a write over our own write: the cache is still further back
        self._written[key_of(before)] = (version, after)

    def get(self, name: str, namespace: str) -> Object | None:
        """The object as it is as far as we know."""
        cached = self._informer.get(name, namespace)
        return None if cached is None else self.view(cached)

    def view(self, cached: Object) -> Object:
        """`cached`, or what we have made of it since."""
        key = key_of(cached)
        written = self._written.get(key)
        if written is None:
            return cached
        before, after = written
        if resource_version_of(cached) == before:
            return after
        del self._written[key]
        return cached

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._written.pop(key, None)
