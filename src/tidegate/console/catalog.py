"""What the console knows of the API: caches of the objects it shows, and who belongs to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from tidegate.apis.serving import REVISIONS, SERVICE_LABEL, SERVICES
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Key, Object, key_of, labels_of, name_of, namespace_of
from tidegate.kube.resources import EVENTS, PODS

_BY_SERVICE = "console-service"
_BY_NAMESPACE = "console-namespace"


class Catalog:
    """Services with their revisions, pods and events.

    Args:
        informers: the console's; the composition runs them.
        on_change: called whenever any of the objects changes.
    """

    def __init__(self, informers: Informers, on_change: Callable[[], None]) -> None:
        self._services = informers.of(SERVICES)
        self._revisions = informers.of(REVISIONS, label_selector=SERVICE_LABEL)
        self._pods = informers.of(PODS)
        self._events = informers.of(EVENTS)
        self._revisions.add_index(_BY_SERVICE, _service_of)
        self._pods.add_index(_BY_SERVICE, _service_of)
        self._events.add_index(_BY_NAMESPACE, _involved_namespace)

        def changed(old: Object | None, new: Object | None) -> None:  # noqa: ARG001
            on_change()

        for informer in (self._services, self._revisions, self._pods, self._events):
            informer.add_handler(changed)

    async def wait_synced(self) -> None:
        """Wait until everything is known."""
        for informer in (self._services, self._revisions, self._pods, self._events):
            await informer.wait_synced()

    def services(self) -> list[Object]:
        """All Knative Services, by namespace and name."""
        return sorted(self._services.items(), key=key_of)

    def service(self, key: Key) -> Object | None:
        return self._services.get(key.name, key.namespace)

    def revisions(self, service: Key) -> list[Object]:
        """The revisions of a service, newest first."""
        found = self._revisions.by_index(_BY_SERVICE, str(service))
        return sorted(found, key=_creation, reverse=True)

    def pods(self, service: Key) -> list[Object]:
        """The pods of a service, newest first."""
        return sorted(self._pods.by_index(_BY_SERVICE, str(service)), key=_creation, reverse=True)

    def pod(self, key: Key) -> Object | None:
        return self._pods.get(key.name, key.namespace)

    def owner(self, obj: Object) -> Key | None:
        """The service that a revision or a pod is of."""
        name = labels_of(obj).get(SERVICE_LABEL)
        return Key(namespace_of(obj), name) if name else None

    def events(self, service: Key, revisions: Iterable[str], *, most: int) -> list[Object]:
        """The latest events of a service and of all that was made for it, newest first."""
        prefixes = tuple(f"{revision}-deployment" for revision in revisions)
        names = {service.name, *revisions}
        found = [
            event
            for event in self._events.by_index(_BY_NAMESPACE, service.namespace)
            if (involved := str(event["involvedObject"].get("name", ""))) in names
            or (prefixes and involved.startswith(prefixes))
        ]
        found.sort(key=event_time, reverse=True)
        return found[:most]


def event_time(event: Object) -> str:
    """When it last happened, RFC 3339."""
    times = (event.get("lastTimestamp"), event.get("eventTime"), event.get("firstTimestamp"))
    return next((str(time) for time in times if time), "")


def _service_of(obj: Object) -> tuple[str, ...]:
    name = labels_of(obj).get(SERVICE_LABEL)
    return (str(Key(namespace_of(obj), name)),) if name else ()


def _involved_namespace(event: Object) -> tuple[str, ...]:
    involved = cast("Object", event.get("involvedObject") or {})
    return (str(involved.get("namespace", "")),)


def _creation(obj: Object) -> tuple[str, str]:
    return str(obj["metadata"].get("creationTimestamp", "")), name_of(obj)
