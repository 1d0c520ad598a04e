"""Which slot belongs to which revision.

A slot is an empty backend of HAProxy's configuration. Slots of limited and of unlimited
revisions differ in their rules, so there are two pools. A freed slot goes to the end of its
pool, so that it rests as long as possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tidegate.kube.errors import UserError
from tidegate.kube.objects import Key


class PoolExhaustedError(UserError):
    """Every slot is taken."""


class Slots:
    """The assignment, both ways.

    Args:
        limited: names of the slots for revisions with a containerConcurrency.
        unlimited: names of the others.
    """

    def __init__(self, limited: Iterable[str], unlimited: Iterable[str]) -> None:
        self._free = {True: deque(limited), False: deque(unlimited)}
        self._is_limited = {slot: kind for kind, pool in self._free.items() for slot in pool}
        self._slots: dict[Key, str] = {}
        self._revisions: dict[str, Key] = {}

    def of(self, revision: Key) -> str | None:
        """The slot of a revision, if it has one."""
        return self._slots.get(revision)

    def revision_of(self, slot: str) -> Key | None:
        """The revision a slot belongs to, if any."""
        return self._revisions.get(slot)

    def assigned(self) -> dict[Key, str]:
        """All assignments."""
        return dict(self._slots)

    def assign(self, revision: Key, *, is_limited: bool) -> str:
        """The revision's slot, a free one if it had none.

        Raises:
            PoolExhaustedError: there is none left of its kind.
        """
        known = self._slots.get(revision)
        if known is not None:
            return known
        pool = self._free[is_limited]
        if not pool:
            kind = "with" if is_limited else "without"
            raise PoolExhaustedError(
                f"the gateway has no slot left for revision {revision}: all of its slots for "
                f"revisions {kind} a containerConcurrency are taken (--max-revisions)"
            )
        return self._bind(pool.popleft(), revision)

    def restore(self, slot: str, revision: Key) -> bool:
        """Take an assignment found in a running HAProxy; False if it cannot be."""
        if slot not in self._is_limited or slot in self._revisions or revision in self._slots:
            return False
        self._free[self._is_limited[slot]].remove(slot)
        self._bind(slot, revision)
        return True

    def release(self, revision: Key) -> None:
        """Give the revision's slot back; it must be empty."""
        slot = self._slots.pop(revision, None)
        if slot is not None:
            del self._revisions[slot]
            self._free[self._is_limited[slot]].append(slot)

    def _bind(self, slot: str, revision: Key) -> str:
        self._slots[revision] = slot
        self._revisions[slot] = revision
        return slot
