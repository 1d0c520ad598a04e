"""Deletes Events an hour after they were last seen, for nothing else ever would."""

from __future__ import annotations

from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import Key, Object, uid_of
from tidegate.kube.resources import EVENTS

EVENT_LIFETIME_SECONDS = 3600.0


class EventExpiryController:
    """Reconciles Events against the clock."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._events = context.informers.of(EVENTS)
        self.controller = Controller("event-expiry", self.reconcile, clock=context.clock).watch(
            self._events
        )

    async def reconcile(self, key: Key) -> float | None:
        """Delete one Event if it is due; otherwise come back when it is."""
        event = self._events.get(key.name, key.namespace)
        if event is None:
            return None
        left = last_seen(event) + EVENT_LIFETIME_SECONDS - self._clock.time()
        if left > 0:
            return left
        try:
            await self._client.delete(EVENTS, key.name, namespace=key.namespace, uid=uid_of(event))
        except NotFound:
            return None
        return None


def last_seen(event: Object) -> float:
    """Epoch seconds of the latest of the times an Event carries."""
    series: Object = event.get("series") or {}
    times = (
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
        series.get("lastObservedTime"),
        event["metadata"].get("creationTimestamp"),
    )
    return max((parse_rfc3339(str(time)) for time in times if time), default=0.0)
