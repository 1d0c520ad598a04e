"""An object as the store keeps it and an event as watchers get it.

The store keeps an object as bytes, ready to send; parsed, it would take four times the memory and
slow down the garbage collector. The parsed form is made when it is asked for, and shared by all
who hold it: informers in the same process see one copy between them.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Generic, TypeVar

import orjson

from tidegate.kube.client import EventType
from tidegate.kube.objects import Object

Item = TypeVar("Item")

_RECENT = 512
# Of JSON; parsed, it takes about four times that.
_RECENT_BYTES = 1024 * 1024
_LINES_BYTES = 2 * 1024 * 1024
_LABEL_SETS = 1024


class _Shared(dict):  # pyright: ignore[reportMissingTypeArgument]
    """A dictionary that can be referred to weakly."""

    __slots__ = ("__weakref__",)


class _Recent(Generic[Item]):
    """Keeps what was used last.

    Args:
        bytes_: how much may be kept in all, as JSON; one item always is.
        dropped: told of what is kept no longer.
    """

    def __init__(self, bytes_: int, dropped: Callable[[Item], None] | None = None) -> None:
        self._limit = bytes_
        self._dropped = dropped
        self._kept: deque[tuple[Item, int]] = deque()
        self._bytes = 0

    def keep(self, item: Item, size: int) -> None:
        """Keep one that is `size` bytes of JSON; the oldest go when a bound is reached."""
        kept = self._kept
        kept.append((item, size))
        self._bytes += size
        while len(kept) > _RECENT or (self._bytes > self._limit and len(kept) > 1):
            old, freed = kept.popleft()
            self._bytes -= freed
            if self._dropped:
                self._dropped(old)


# Saves what was written or read last from being parsed again and again.
_recent = _Recent[_Shared](_RECENT_BYTES)


class Stored:
    """One immutable version of one object.

    Attributes:
        raw: the object as JSON, ready to send.
        version: its resourceVersion as a number; 0 for an object that is not stored (dry run).
        labels: its labels; not to be changed.
        sort_key: namespace and name.

    Args:
        keep: whether its parsed form is kept among the recent ones; not for what is only sent.
    """

    __slots__ = ("_parsed", "labels", "raw", "sort_key", "version")

    def __init__(self, obj: Object, raw: bytes, version: int, *, keep: bool = True) -> None:
        self.raw = raw
        self.version = version
        metadata: Object = obj.get("metadata") or {}
        labels = metadata.get("labels")
        self.labels = _one_of_equal(*labels.items()) if labels else _NO_LABELS
        self.sort_key: tuple[str, str] = metadata.get("namespace", ""), metadata.get("name", "")
        self._parsed: Callable[[], _Shared | None] = (
            weakref.ref(_share(obj, len(raw))) if keep else _nothing
        )

    @property
    def object(self) -> Object:
        """The parsed object; shared, never to be changed."""
        parsed = self._parsed()
        if parsed is None:
            parsed = _share(orjson.loads(self.raw), len(self.raw))
            self._parsed = weakref.ref(parsed)
        return parsed


def packed(obj: Object) -> bytes:
    """An object as JSON in no more memory than it needs; for what is kept.

    What orjson gives has the room that it reserved, twice what it needed or, with long strings,
    many times that.
    """
    return bytes(memoryview(orjson.dumps(obj)))


class Event:
    """One change of one object.

    Attributes:
        type: ADDED, MODIFIED, DELETED or BOOKMARK.
        stored: the new state; for DELETED the last one, at the version of the deletion.
        previous: the state before, None for ADDED.
    """

    __slots__ = ("_line", "previous", "stored", "type")

    def __init__(self, event_type: EventType, stored: Stored, previous: Stored | None) -> None:
        self.type = event_type
        self.stored = stored
        self.previous = previous
        self._line: bytes | None = None

    @property
    def version(self) -> int:
        return self.stored.version

    def line(self) -> bytes:
        """The event as one line of a watch response, made once for all watchers that keep up."""
        line = self._line
        if line is None:
            line = self._line = b'{"type":"%s","object":%s}\n' % (
                self.type.encode(),
                self.stored.raw,
            )
            _lines.keep(self, len(line))
        return line

    def forget_line(self) -> None:
        """Free what `line` has made; the log keeps an event for long after all have seen it."""
        self._line = None


_lines = _Recent[Event](_LINES_BYTES, Event.forget_line)


_NO_LABELS: Mapping[str, str] = {}


def _nothing() -> None:
    """Stands for a parsed form that has not been kept."""


@lru_cache(maxsize=_LABEL_SETS)
def _one_of_equal(*labels: tuple[str, str]) -> Mapping[str, str]:
    """The labels, one mapping for all objects that have the same: pods of a revision, say."""
    return dict(labels)


def _share(obj: Object, size: int) -> _Shared:
    shared = _Shared(obj)
    _recent.keep(shared, size)
    return shared
