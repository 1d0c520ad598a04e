"""Lists, whole or in pages.

Stored objects never change, so the later pages of a list are served from the references that the
first one took: consistent, at the price of a list of pointers. Those are kept for a bounded time
and number; after that the continue token answers 410, with another for the rest as it is then.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass

import orjson

from tidegate.apiserver.options import Listing, ListOptions
from tidegate.apiserver.refusals import version_too_large
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.selection import Selection, selection
from tidegate.apiserver.storage.store import Store
from tidegate.apiserver.storage.stored import Stored
from tidegate.apiserver.versions import served
from tidegate.kube.clock import Clock
from tidegate.kube.errors import BadRequest, Gone

_MAX_SNAPSHOTS = 64
_SNAPSHOT_SECONDS = 300.0
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start"
    " a new list without the continue parameter, or use the continue token in this response to"
    " retrieve the remainder of the results. Continuing with the provided token results in an"
    " inconsistent list - objects that were created, modified, or deleted between the time the"
    " first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True)
class _Snapshot:
    bucket: str
    items: list[Stored]
    version: int
    expires: float


@dataclass(frozen=True)
class _Place:
    """What a continue token says: the position in a kept list, and the last object before it.

    Without a list it stands for all that is there now behind that object.
    """

    snapshot: str
    start: int
    after: tuple[str, str]


class Lister:
    """Serves lists from a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()

    def list(self, spec: KindSpec, namespace: str | None, options: ListOptions) -> Listing:
        """One page. Raises BadRequest, Gone, Timeout."""
        if options.limit < 0:
            raise BadRequest("limit: must not be negative")
        wanted = selection(spec, namespace, options.label_selector, options.field_selector)
        if options.continue_token:
            return self._next_page(spec, wanted, options)
        past = self._at(spec, wanted, options)
        if past is not None:
            return past
        items = self._items(spec, wanted)
        return self._page(spec.bucket, items, self._store.version, 0, options)

    def _items(self, spec: KindSpec, wanted: Selection) -> list[Stored]:
        return _selected(spec, wanted, self._store.items(spec.bucket, wanted.namespace))

    def _page(
        self,
        bucket: str,
        items: list[Stored],
        version: int,
        start: int,
        options: ListOptions,
        snapshot: str = "",
    ) -> Listing:
        stop = start + options.limit
        if options.limit == 0 or stop >= len(items):
            return Listing(items[start:] if start else items, version)
        if not snapshot:
            snapshot = self._keep(_Snapshot(bucket, items, version, self._expiry()))
        token = _encode(_Place(snapshot, stop, items[stop - 1].sort_key))
        # Kubernetes does not count what it would have to look at first.
        selected = bool(options.label_selector or options.field_selector)
        return Listing(items[start:stop], version, token, None if selected else len(items) - stop)

    def _next_page(self, spec: KindSpec, wanted: Selection, options: ListOptions) -> Listing:
        if options.resource_version not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        place = _decode(options.continue_token)
        if not place.snapshot:
            return self._rest(spec, wanted, place, options)
        snapshot = self._snapshots.get(place.snapshot)
        now = self._clock.monotonic()
        if snapshot is None or snapshot.expires < now or snapshot.bucket != spec.bucket:
            raise Gone(_EXPIRED, continue_token=_encode(_Place("", 0, place.after)))
        return self._page(
            spec.bucket, snapshot.items, snapshot.version, place.start, options, place.snapshot
        )

    def _rest(
        self, spec: KindSpec, wanted: Selection, place: _Place, options: ListOptions
    ) -> Listing:
        """What there is now behind the last object of a page whose list has expired."""
        items = self._items(spec, wanted)
        start = bisect_right(items, place.after, key=lambda stored: stored.sort_key)
        return self._page(spec.bucket, items, self._store.version, start, options)

    def _keep(self, snapshot: _Snapshot) -> str:
        now = self._clock.monotonic()
        for name in [n for n, s in self._snapshots.items() if s.expires < now]:
            del self._snapshots[name]
        while len(self._snapshots) >= _MAX_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        name = secrets.token_urlsafe(12)
        self._snapshots[name] = snapshot
        return name

    def _expiry(self) -> float:
        return self._clock.monotonic() + _SNAPSHOT_SECONDS

    def _at(self, spec: KindSpec, wanted: Selection, options: ListOptions) -> Listing | None:
        """The list as of exactly the version asked for; None where any as new as it will do."""
        match = options.resource_version_match
        version, current = parse_version(options.resource_version), self._store.version
        if version > current:
            raise version_too_large(version, current)
        exact = match == "Exact" or (not match and options.limit > 0 and version > 0)
        if not exact or version == current:
            return None
        past = self._store.items_at(spec.bucket, version, wanted.namespace)
        if past is None:
            raise Gone(f"The resourceVersion for the provided list is too old: {version}")
        items = _selected(spec, wanted, past)
        return self._page(spec.bucket, items, version, 0, options)


def _selected(spec: KindSpec, wanted: Selection, items: list[Stored]) -> list[Stored]:
    matches = wanted.matches
    if matches is not None:
        items = [stored for stored in items if matches(stored)]
    if spec.converts:
        items = [served(spec, stored) for stored in items]
    items.sort(key=lambda stored: stored.sort_key)
    return items


def parse_version(text: str) -> int:
    """A resourceVersion as a number, 0 when empty. Raises BadRequest."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise BadRequest(f"resourceVersion: Invalid value: {text!r}: must be a number")
    return int(text)


def _encode(place: _Place) -> str:
    parts = [place.snapshot, place.start, *place.after]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(token: str) -> _Place:
    try:
        padded = token + "=" * (-len(token) % 4)
        snapshot, start, namespace, name = orjson.loads(base64.urlsafe_b64decode(padded))
        return _Place(str(snapshot), max(int(start), 0), (str(namespace), str(name)))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadRequest("continue key is not valid: it was not made by this server") from error
