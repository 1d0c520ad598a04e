"""Watches: a cursor over a bucket's log, seen through selectors."""

from __future__ import annotations

import orjson

from tidegate.apiserver.listing import parse_version
from tidegate.apiserver.options import WatchOptions
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.selection import Selection, selection
from tidegate.apiserver.storage.log import expired
from tidegate.apiserver.storage.store import Store
from tidegate.apiserver.storage.stored import Event, Stored
from tidegate.apiserver.versions import served_event
from tidegate.kube.client import EventType
from tidegate.kube.objects import Object

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Watch:
    """One watcher.

    Raises on construction: BadRequest for bad selectors, Gone for a version that is too old.
    """

    def __init__(
        self, store: Store, spec: KindSpec, namespace: str | None, options: WatchOptions
    ) -> None:
        self._spec = spec
        self._wanted = selection(spec, namespace, options.label_selector, options.field_selector)
        since = parse_version(options.resource_version)
        initial = options.send_initial_events
        if since > store.version:
            raise expired(since, store.version)
        from_start = initial if initial is not None else since == 0
        self._cursor = store.cursor(spec.bucket, None if from_start or not since else since)
        self._initial: list[Event] = []
        if from_start:
            self._initial = self._present(store)
            if initial:
                self._initial.append(self._bookmark(store.version, {INITIAL_EVENTS_END: "true"}))

    @property
    def version(self) -> int:
        """Everything up to here has been handed out."""
        return self._cursor.version

    async def next(self, timeout: float | None = None) -> list[Event]:
        """The next events, in order; empty when none came for `timeout` seconds.

        Raises:
            Gone: this watcher was too slow.
        """
        if self._initial:
            events, self._initial = self._initial, []
            return self._shown(events)
        while True:
            batch = await self._cursor.next(timeout)
            events = self._seen(batch)
            if events or not batch:
                return self._shown(events)

    def bookmark(self) -> Event:
        """A BOOKMARK at the watcher's place."""
        return self._bookmark(self.version, {})

    def _shown(self, events: list[Event]) -> list[Event]:
        if not self._spec.converts:
            return events
        return [served_event(self._spec, event) for event in events]

    def _present(self, store: Store) -> list[Event]:
        wanted = self._wanted
        items = store.items(self._spec.bucket, wanted.namespace)
        items.sort(key=lambda stored: stored.version)
        return [
            Event(EventType.ADDED, stored, None)
            for stored in items
            if wanted.matches is None or wanted.matches(stored)
        ]

    def _seen(self, batch: list[Event]) -> list[Event]:
        wanted = self._wanted
        if wanted.matches is None:
            namespace = wanted.namespace
            if namespace is None:
                return batch
            return [event for event in batch if event.stored.sort_key[0] == namespace]
        return [event for raw in batch if (event := _filtered(raw, wanted)) is not None]

    def _bookmark(self, version: int, annotations: dict[str, str]) -> Event:
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        resource = self._spec.resource
        obj: Object = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": metadata,
        }
        return Event(EventType.BOOKMARK, Stored(obj, orjson.dumps(obj), version), None)


def _filtered(event: Event, wanted: Selection) -> Event | None:
    """The event as a watcher with this selection sees it: coming into it is ADDED, leaving it
    DELETED."""
    if wanted.namespace is not None and event.stored.sort_key[0] != wanted.namespace:
        return None
    if wanted.matches is None:
        return event
    before = event.previous is not None and wanted.matches(event.previous)
    if event.type is EventType.DELETED:
        return event if before else None
    now = wanted.matches(event.stored)
    if now and before:
        return event
    if now:
        return (
            event if event.type is EventType.ADDED else Event(EventType.ADDED, event.stored, None)
        )
    if before and event.previous is not None:
        return Event(EventType.DELETED, _at_version(event.previous, event.version), event.previous)
    return None


def _at_version(stored: Stored, version: int) -> Stored:
    metadata = {**stored.object["metadata"], "resourceVersion": str(version)}
    obj = {**stored.object, "metadata": metadata}
    return Stored(obj, orjson.dumps(obj), version)
