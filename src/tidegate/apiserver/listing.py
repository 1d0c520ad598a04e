"""Lists, whole or in pages.

Stored objects never change, so the later pages of a list are served from the references that the
first one took: consistent, at the price of a list of pointers. Those are kept for a bounded time
and number; after that the continue token answers 410 and the client lists anew.
"""

from __future__ import annotations

import base64
import binascii
import secrets
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


@dataclass(frozen=True)
class _Snapshot:
    bucket: str
    items: list[Stored]
    version: int
    expires: float


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
        if options.continue_token:
            return self._next_page(spec, options)
        self._check_version(options)
        wanted = selection(spec, namespace, options.label_selector, options.field_selector)
        items = self._items(spec, wanted)
        return self._page(spec.bucket, items, self._store.version, 0, options.limit, "")

    def _items(self, spec: KindSpec, wanted: Selection) -> list[Stored]:
        items = self._store.items(spec.bucket, wanted.namespace)
        matches = wanted.matches
        if matches is not None:
            items = [stored for stored in items if matches(stored)]
        if spec.converts:
            items = [served(spec, stored) for stored in items]
        items.sort(key=lambda stored: stored.sort_key)
        return items

    def _page(
        self, bucket: str, items: list[Stored], version: int, start: int, limit: int, snapshot: str
    ) -> Listing:
        stop = start + limit
        if limit == 0 or stop >= len(items):
            return Listing(items[start:] if start else items, version)
        if not snapshot:
            snapshot = self._keep(_Snapshot(bucket, items, version, self._expiry()))
        token = _encode(snapshot, stop)
        return Listing(items[start:stop], version, token, len(items) - stop)

    def _next_page(self, spec: KindSpec, options: ListOptions) -> Listing:
        name, start = _decode(options.continue_token)
        snapshot = self._snapshots.get(name)
        now = self._clock.monotonic()
        if snapshot is None or snapshot.expires < now or snapshot.bucket != spec.bucket:
            raise Gone(
                "The provided continue parameter is too old to display a consistent list result."
                " You must start a new list without the continue parameter."
            )
        return self._page(spec.bucket, snapshot.items, snapshot.version, start, options.limit, name)

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

    def _check_version(self, options: ListOptions) -> None:
        match, text = options.resource_version_match, options.resource_version
        if match not in ("", "Exact", "NotOlderThan"):
            raise BadRequest(
                f"resourceVersionMatch: Unsupported value: {match!r}: supported values:"
                ' "Exact", "NotOlderThan"'
            )
        if match and not text:
            raise BadRequest(
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless"
                " resourceVersion is provided"
            )
        version, current = parse_version(text), self._store.version
        if match == "Exact" and version == 0:
            raise BadRequest(
                "resourceVersionMatch: Forbidden: resourceVersionMatch Exact is forbidden for"
                ' resourceVersion "0"'
            )
        if version > current:
            raise version_too_large(version, current)
        if match == "Exact" and version < current:
            raise Gone(f"The resourceVersion for the provided list is too old: {version}")


def parse_version(text: str) -> int:
    """A resourceVersion as a number, 0 when empty. Raises BadRequest."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise BadRequest(f"resourceVersion: Invalid value: {text!r}: must be a number")
    return int(text)


def _encode(snapshot: str, start: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([snapshot, start])).decode().rstrip("=")


def _decode(token: str) -> tuple[str, int]:
    try:
        padded = token + "=" * (-len(token) % 4)
        name, start = orjson.loads(base64.urlsafe_b64decode(padded))
        return str(name), max(int(start), 0)
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadRequest("continue key is not valid: it was not made by this server") from error
