"""What a controller has written and its cache does not show yet.

A reconcile that trusted a stale cache would create its pods twice. Pod names are chosen before
the create, so the names (and, for deletes, the uids) on their way can be counted exactly and no
reconcile ever has to wait for the cache.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from tidegate.kube.clock import Clock
from tidegate.kube.objects import Object, controller_of, is_deleting, name_of, uid_of

# A write whose echo never comes (pod created and gone during a watch gap) must not count forever.
_FORGET_SECONDS = 300.0


class Expectations:
    """Creates and deletes in flight, per owner uid."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._creates: dict[str, dict[str, float]] = {}
        self._deletes: dict[str, dict[str, float]] = {}

    def creating(self, owner: str, name: str) -> None:
        """A create of `name` is about to be sent."""
        self._creates.setdefault(owner, {})[name] = self._clock.monotonic()

    def deleting(self, owner: str, uid: str) -> None:
        """A delete of `uid` is about to be sent."""
        self._deletes.setdefault(owner, {})[uid] = self._clock.monotonic()

    @contextmanager
    def create(self, owner: str, name: str) -> Generator[None]:
        """Around a create: expected from its sending on, unless it fails."""
        self.creating(owner, name)
        try:
            yield
        except BaseException:
            self.created(owner, name)
            raise

    @contextmanager
    def delete(self, owner: str, uid: str) -> Generator[None]:
        """Around a delete: expected from its sending on, unless it fails."""
        self.deleting(owner, uid)
        try:
            yield
        except BaseException:
            self.deleted(owner, uid)
            raise

    def created(self, owner: str, name: str) -> None:
        """The cache shows `name`, or its create failed."""
        _discard(self._creates, owner, name)

    def deleted(self, owner: str, uid: str) -> None:
        """The cache shows `uid` as deleting or gone, or its delete failed."""
        _discard(self._deletes, owner, uid)

    def observe(self, old: Object | None, new: Object | None) -> None:
        """A handler for the informer of what is owned: what the cache shows is no more expected."""
        shown = new or old
        reference = controller_of(shown) if shown is not None else None
        if shown is None or reference is None:
            return
        owner = str(reference.get("uid", ""))
        self.created(owner, name_of(shown))
        if new is None or is_deleting(new):
            self.deleted(owner, uid_of(shown))

    def pending_creates(self, owner: str) -> frozenset[str]:
        """Names created and not seen yet."""
        return self._pending(self._creates, owner)

    def pending_deletes(self, owner: str) -> frozenset[str]:
        """Uids deleted and not seen going yet."""
        return self._pending(self._deletes, owner)

    def forget(self, owner: str) -> None:
        """The owner is gone."""
        self._creates.pop(owner, None)
        self._deletes.pop(owner, None)

    def _pending(self, table: dict[str, dict[str, float]], owner: str) -> frozenset[str]:
        entries = table.get(owner)
        if not entries:
            return frozenset()
        oldest = self._clock.monotonic() - _FORGET_SECONDS
        for entry in [entry for entry, since in entries.items() if since < oldest]:
            del entries[entry]
        return frozenset(entries)


def _discard(table: dict[str, dict[str, float]], owner: str, entry: str) -> None:
    entries = table.get(owner)
    if entries is None:
        return
    entries.pop(entry, None)
    if not entries:
        del table[owner]
