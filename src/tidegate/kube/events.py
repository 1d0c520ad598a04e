"""Events as `kubectl describe` shows them: what happened to an object, repeated ones counted."""

from __future__ import annotations

import hashlib
import logging

from tidegate.kube.client import Client
from tidegate.kube.clock import Clock, rfc3339
from tidegate.kube.errors import AlreadyExists, ApiError, NotFound
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
        # An event that cannot be written must never fail the work it speaks of.
        try:
            await self._create_or_count(obj, event_type, reason, message)
        except ApiError as error:
            logger.debug("event %s for %s lost: %s", reason, name_of(obj), error)

    async def _create_or_count(
        self, obj: Object, event_type: str, reason: str, message: str
    ) -> None:
        identity = "\0".join((uid_of(obj), self._component, event_type, reason, message))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        name = f"{name_of(obj)}.{digest}"
        namespace = namespace_of(obj) or "default"
        now = rfc3339(self._clock.time())
        try:
            known = await self._client.get(EVENTS, name, namespace=namespace)
        except NotFound:
            known = None
        try:
            if known is None:
                event = self._event(obj, name, namespace, event_type, reason, message, now)
                await self._client.create(EVENTS, event)
                return
        except AlreadyExists:
            known = await self._client.get(EVENTS, name, namespace=namespace)
        count = int(known.get("count") or 1) + 1
        patch = {"count": count, "lastTimestamp": now}
        await self._client.patch(EVENTS, name, patch, namespace=namespace)

    def _event(
        self,
        obj: Object,
        name: str,
        namespace: str,
        event_type: str,
        reason: str,
        message: str,
        now: str,
    ) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
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
