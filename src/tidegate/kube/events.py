"""Events as `kubectl describe` shows them: what happened to an object, repeated ones counted."""

from __future__ import annotations

import hashlib
import logging

from tidegate.kube.client import Client
from tidegate.kube.clock import Clock, rfc3339
from tidegate.kube.errors import AlreadyExists, ApiError
from tidegate.kube.objects import Object, name_of, namespace_of, resource_version_of, uid_of
from tidegate.kube.resources import EVENTS

logger = logging.getLogger(__name__)


class EventRecorder:
    """Writes Events for one component.

    Args:
        client: bound to an identity that may create and patch events.
        component: shown as the event's source, e.g. `kubelet`.
        clock: for the timestamps.
    """

    def __init__(self, client: Client, component: str, *, clock: Clock) -> None:
        self._client = client
        self._component = component
        self._clock = clock

    async def normal(self, obj: Object, reason: str, message: str) -> None:
        """Something went as it should."""
        await self._record(obj, "Normal", reason, message)

    async def warning(self, obj: Object, reason: str, message: str) -> None:
        """Something the user should look at."""
        await self._record(obj, "Warning", reason, message)

    async def _record(self, obj: Object, event_type: str, reason: str, message: str) -> None:
        event = self._event(obj, event_type, reason, message)
        # An event that cannot be written must never fail the work it speaks of.
        try:
            try:
                await self._client.create(EVENTS, event)
            except AlreadyExists:
                await self._count(event)
        except ApiError as error:
            logger.debug("event %s for %s lost: %s", reason, name_of(obj), error)

    async def _count(self, event: Object) -> None:
        """It has happened before."""
        name, namespace = name_of(event), namespace_of(event)
        known = await self._client.get(EVENTS, name, namespace=namespace)
        count = int(known.get("count") or 1) + 1
        patch = {"count": count, "lastTimestamp": event["lastTimestamp"]}
        await self._client.patch(EVENTS, name, patch, namespace=namespace)

    def _event(self, obj: Object, event_type: str, reason: str, message: str) -> Object:
        # What is the same has the same name, by which a repetition is known.
        identity = "\0".join((uid_of(obj), self._component, event_type, reason, message))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        now = rfc3339(self._clock.time())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{name_of(obj)}.{digest}",
                "namespace": namespace_of(obj) or "default",
            },
            "involvedObject": {
                "apiVersion": obj["apiVersion"],
                "kind": obj["kind"],
                "name": name_of(obj),
                "namespace": namespace_of(obj),
                "uid": uid_of(obj),
                "resourceVersion": resource_version_of(obj),
            },
            "type": event_type,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
