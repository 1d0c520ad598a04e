"""Until when the sessions of each pod are fresh, from the access records.

Every answer of a revision whose sessions stick renews its client's cookie, so the last answer
that a pod gave says for how long somebody may come back to it.
"""

from __future__ import annotations

from tidegate.gateway.access import Batch
from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key


class Sessions:
    """The pods with sessions; runs on the loop.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: dict[Key, int] = {}
        self._answered: dict[Key, dict[str, float]] = {}

    def stick(self, revision: Key, seconds: int) -> None:
        """Sessions of the revision last for so many seconds, 0 for a revision without."""
        if seconds:
            self._seconds[revision] = seconds
        else:
            self.forget(revision)

    def forget(self, revision: Key) -> None:
        """The gateway serves the revision no more."""
        self._seconds.pop(revision, None)
        self._answered.pop(revision, None)

    def take(self, batch: Batch) -> None:
        """Take note of which pods have answered."""
        if not self._seconds:
            return
        now = self._clock.monotonic()
        for record in batch:
            revision = record.revision
            if revision in self._seconds and revision and record.pod and record.status > 0:
                self._answered.setdefault(revision, {})[record.pod] = now

    def until(self, revision: Key, pods: list[str]) -> dict[str, float]:
        """When the last session of each pod ends, on the monotonic clock; others are forgotten.

        Args:
            revision: whose pods these are.
            pods: all that there are.
        """
        answered = self._answered.get(revision)
        if answered is None:
            return {}
        for pod in answered.keys() - set(pods):
            del answered[pod]
        seconds, now = self._seconds[revision], self._clock.monotonic()
        return {pod: at + seconds for pod, at in answered.items() if at + seconds > now}
