"""Empties a namespace that is being deleted, and then lets it go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import Conflict, NotFound
from tidegate.kube.informer import Informer
from tidegate.kube.objects import (
    Key,
    Object,
    conditions_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    spec_of,
    thaw,
    uid_of,
    with_condition,
)
from tidegate.kube.resources import NAMESPACES, Resource
from tidegate.kube.waiting import all_of
from tidegate.workloads.kinds import Kinds

FINALIZER = "kubernetes"
# What holds the content changes with an event; this is for the case that none comes.
_RETRY_SECONDS = 10.0


class NamespaceController:
    """Reconciles namespaces with a deletionTimestamp.

    Args:
        context: client, informers, clock.
        kinds: all that can live in a namespace, and more.
    """

    def __init__(self, context: Context, *, kinds: Kinds) -> None:
        self._client = context.client
        self._clock = context.clock
        self._kinds = kinds
        self._namespaces = context.informers.of(NAMESPACES)
        self.controller = Controller("namespace", self.reconcile, clock=context.clock).watch(
            self._namespaces
        )
        kinds.follow(self)

    def begin(self, informer: Informer) -> None:
        """Look at a namespace again whenever one of its objects of this kind changes."""
        if informer.resource.namespaced:
            informer.add_handler(self._content_changed)

    def end(self, informer: Informer) -> None:
        """A kind that is served no longer has no objects."""

    def _content_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        namespace = self._namespaces.get(namespace_of(obj)) if obj else None
        if namespace is not None and is_deleting(namespace):
            self.controller.queue.add(key_of(namespace))

    async def reconcile(self, key: Key) -> float | None:
        """Delete the contents of one namespace; drop its finalizer when none are left."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or not is_deleting(namespace):
            return None
        if FINALIZER not in (spec_of(namespace).get("finalizers") or ()):
            return None
        remaining = await self._remaining(key.name)
        if remaining:
            doomed = [(r, obj) for r, objs in remaining for obj in objs if not is_deleting(obj)]
            await all_of(*(self._delete(resource, obj) for resource, obj in doomed))
            remaining = await self._remaining(key.name)
        if remaining:
            await self._report(namespace, remaining)
            return _RETRY_SECONDS
        await self._finalize(namespace)
        return None

    async def _remaining(self, namespace: str) -> list[tuple[Resource, list[Object]]]:
        # Lists, not caches: what a cache has not seen yet would outlive its namespace.
        resources = [resource for resource in self._kinds.resources() if resource.namespaced]
        lists = await all_of(*(self._list(resource, namespace) for resource in resources))
        pairs = zip(resources, lists, strict=True)
        return [(resource, objects) for resource, objects in pairs if objects]

    async def _list(self, resource: Resource, namespace: str) -> list[Object]:
        try:
            return (await self._client.list(resource, namespace=namespace)).items
        except NotFound:
            return []  # the definition of the kind has gone, and with it all objects

    async def _delete(self, resource: Resource, obj: Object) -> None:
        try:
            await self._client.delete(
                resource, name_of(obj), namespace=namespace_of(obj), uid=uid_of(obj)
            )
        except (NotFound, Conflict):
            return  # already gone, or replaced by one that the next round finds

    async def _report(
        self, namespace: Object, remaining: Sequence[tuple[Resource, list[Object]]]
    ) -> None:
        now = rfc3339(self._clock.time())
        conditions = conditions_of(namespace)
        for condition in (_content_condition(remaining), _finalizers_condition(remaining)):
            conditions = with_condition(conditions, condition, now=now)
        if conditions != conditions_of(namespace):
            await self._client.patch(
                NAMESPACES,
                name_of(namespace),
                {"status": {"phase": "Terminating", "conditions": conditions}},
                subresource="status",
            )

    async def _finalize(self, namespace: Object) -> None:
        copy = thaw(namespace)
        copy["spec"]["finalizers"] = [f for f in copy["spec"]["finalizers"] if f != FINALIZER]
        await self._client.update(NAMESPACES, copy, subresource="finalize")


def _content_condition(remaining: Sequence[tuple[Resource, list[Object]]]) -> Object:
    parts = [f"{r.qualified} has {len(objects)} resource instances" for r, objects in remaining]
    return {
        "type": "NamespaceContentRemaining",
        "status": "True",
        "reason": "SomeResourcesRemain",
        "message": f"Some resources are remaining: {', '.join(parts)}",
    }


def _finalizers_condition(remaining: Sequence[tuple[Resource, list[Object]]]) -> Object:
    counts = Counter(
        str(finalizer)
        for _, objects in remaining
        for obj in objects
        for finalizer in obj["metadata"].get("finalizers") or ()
    )
    parts = [f"{name} in {count} resource instances" for name, count in sorted(counts.items())]
    return {
        "type": "NamespaceFinalizersRemaining",
        "status": "True" if parts else "False",
        "reason": "SomeFinalizersRemain" if parts else "ContentHasNoFinalizers",
        "message": "Some content in the namespace has finalizers remaining: " + ", ".join(parts)
        if parts
        else "All content-preserving finalizers finished",
    }
