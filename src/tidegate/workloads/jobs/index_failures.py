"""Failures of the indexes of a Job with a limit for each index (`backoffLimitPerIndex`).

A pod carries how often its index had failed before it. So the last failed pod of an index knows
all of its failures, and it must stay until another has taken its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BACK_OFF_SECONDS = 10.0
MAX_BACK_OFF_SECONDS = 360.0


@dataclass(frozen=True)
class IndexFailure:
    """A failed pod of an index.

    Attributes:
        before, ignored_before: failures of the index before this pod that count, and that do not.
        ended: epoch seconds.
        counts: whether this failure counts.
        final: a rule says that the index is not tried again.
    """

    uid: str
    index: int
    before: int
    ignored_before: int
    ended: float
    counts: bool = True
    final: bool = False

    @property
    def counted(self) -> int:
        """Failures of the index that count, with this one."""
        return self.before + self.counts

    @property
    def ignored(self) -> int:
        """Failures of the index that do not, with this one."""
        return self.ignored_before + (not self.counts)


def failed_indexes(failures: Iterable[IndexFailure], limit: int) -> frozenset[int]:
    """The indexes that are not tried again."""
    return frozenset(
        failure.index
        for failure in failures
        if failure.final or (failure.counts and failure.counted > limit)
    )


def last_failures(failures: Iterable[IndexFailure]) -> dict[int, IndexFailure]:
    """Of each index the failure that knows of all others."""
    last: dict[int, IndexFailure] = {}
    for failure in failures:
        known = last.get(failure.index)
        if known is None or _rank(failure) > _rank(known):
            last[failure.index] = failure
    return last


def wait_of(failure: IndexFailure, now: float) -> float:
    """Seconds until the index may be tried again: 10, 20, and so on up to six minutes."""
    return max(0.0, failure.ended + back_off_delay(failure.counted + failure.ignored) - now)


def back_off_delay(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    exponent = min(failures - 1, 10)
    return min(BACK_OFF_SECONDS * 2**exponent, MAX_BACK_OFF_SECONDS)


def _rank(failure: IndexFailure) -> tuple[int, float]:
    return (failure.counted + failure.ignored, failure.ended)
