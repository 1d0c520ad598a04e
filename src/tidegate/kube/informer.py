"""A local, always current copy of one resource, kept by list and watch.

Handlers are called on the loop, in order, and must be quick: they put keys into work queues.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from tidegate.kube.client import Client, EventType, WatchEvent
from tidegate.kube.clock import Clock
from tidegate.kube.errors import ApiError, Gone
from tidegate.kube.objects import Key, Object, key_of, resource_version_of
from tidegate.kube.resources import Resource

logger = logging.getLogger(__name__)

Indexer = Callable[[Object], Iterable[str]]

_RETRY_SECONDS = 1.0


class Handler(Protocol):
    """Called for every change: `old` is None for a new object, `new` is None for a deleted one."""

    def __call__(self, old: Object | None, new: Object | None) -> None: ...


class Informer:
    """The cache of one resource.

    Args:
        client: where to list and watch.
        resource: what.
        clock: for the pause after a failed list or watch.
        namespace: only this namespace; None for all.
        label_selector: only objects that match.
        indexers: named functions from object to index keys, for `by_index`.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        clock: Clock,
        namespace: str | None = None,
        label_selector: str = "",
        indexers: Mapping[str, Indexer] | None = None,
    ) -> None:
        self.resource = resource
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._label_selector = label_selector
        self._objects: dict[Key, Object] = {}
        self._indexers: dict[str, Indexer] = dict(indexers or {})
        self._indexes: dict[str, dict[str, dict[Key, Object]]] = {n: {} for n in self._indexers}
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()

    def add_handler(self, handler: Handler) -> None:
        """Call `handler` for every change, and now for every object already known."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(None, obj)

    def add_index(self, name: str, indexer: Indexer) -> None:
        """Make `by_index(name, ...)` work; a name that exists keeps its indexer."""
        if name in self._indexers:
            return
        self._indexers[name] = indexer
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._index_add(name, key, obj)

    def get(self, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""
        return self._objects.get(Key(namespace, name))

    def items(self, namespace: str | None = None) -> list[Object]:
        """All objects, or those of one namespace."""
        if namespace is None:
            return list(self._objects.values())
        return [obj for key, obj in self._objects.items() if key.namespace == namespace]

    def by_index(self, name: str, value: str) -> list[Object]:
        """The objects for which indexer `name` gave `value`."""
        return list(self._indexes[name].get(value, {}).values())

    @property
    def is_synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait for the first complete list."""
        await self._synced.wait()

    async def run(self) -> None:
        """List and watch until cancelled, over any failure of the API."""
        while True:
            try:
                await self._list_and_watch()
            except Gone:
                logger.debug("watch of %s is too old, listing again", self.resource.qualified)
            except (ApiError, OSError) as error:
                logger.warning("watch of %s: %s; trying again", self.resource.qualified, error)
                await self._clock.sleep(_RETRY_SECONDS)

    async def _list_and_watch(self) -> None:
        listing = await self._client.list(
            self.resource, namespace=self._namespace, label_selector=self._label_selector
        )
        self._replace(listing.items)
        self._synced.set()
        version = listing.resource_version
        while True:
            began, is_empty = self._clock.monotonic(), True
            async with self._client.watch(
                self.resource,
                namespace=self._namespace,
                resource_version=version,
                label_selector=self._label_selector,
            ) as events:
                async for event in events:
                    is_empty = False
                    version = resource_version_of(event.object) or version
                    self._apply(event)
            # A server on its way down may end each watch as soon as it has begun.
            if is_empty and self._clock.monotonic() - began < _RETRY_SECONDS:
                await self._clock.sleep(_RETRY_SECONDS)

    def _apply(self, event: WatchEvent) -> None:
        if event.type is EventType.BOOKMARK:
            return
        key = key_of(event.object)
        if event.type is EventType.DELETED:
            self._remove(key, event.object)
        else:
            self._put(key, event.object)

    def _replace(self, items: Iterable[Object]) -> None:
        fresh = {key_of(obj): obj for obj in items}
        for key in [key for key in self._objects if key not in fresh]:
            self._remove(key, self._objects[key])
        for key, obj in fresh.items():
            known = self._objects.get(key)
            if known is None or resource_version_of(known) != resource_version_of(obj):
                self._put(key, obj)

    def _put(self, key: Key, obj: Object) -> None:
        old = self._objects.get(key)
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = obj
        for name in self._indexers:
            self._index_add(name, key, obj)
        self._notify(old, obj)

    def _remove(self, key: Key, last: Object) -> None:
        old = self._objects.pop(key, None)
        if old is None:
            return
        self._unindex(key, old)
        self._notify(last, None)

    def _index_add(self, name: str, key: Key, obj: Object) -> None:
        for value in self._indexers[name](obj):
            self._indexes[name].setdefault(value, {})[key] = obj

    def _unindex(self, key: Key, obj: Object) -> None:
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            for value in indexer(obj):
                entries = index.get(value)
                if entries is not None:
                    entries.pop(key, None)
                    if not entries:
                        del index[value]

    def _notify(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:
                logger.exception("a handler of %s failed", self.resource.qualified)


class Informers:
    """The informers a set of controllers shares: one per resource, started and stopped together."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._informers: dict[tuple[Resource, str | None, str], Informer] = {}

    def of(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str = ""
    ) -> Informer:
        """The shared informer; ask for all of them before `run`."""
        key = (resource, namespace, label_selector)
        informer = self._informers.get(key)
        if informer is None:
            informer = self._informers[key] = Informer(
                self._client,
                resource,
                clock=self._clock,
                namespace=namespace,
                label_selector=label_selector,
            )
        return informer

    async def wait_synced(self) -> None:
        """Wait until every informer holds its first list."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    async def run(self) -> None:
        """Run all of them until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in self._informers.values():
                group.create_task(informer.run())
