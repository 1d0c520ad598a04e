"""Empties a namespace that is being deleted, and then lets it go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller
from tidegate.kube.errors import Conflict, NotFound
from tidegate.kube.objects import (
    Key,
    Object,
    conditions_of,
    is_deleting,
    name_of,
    namespace_of,
    thaw,
    uid_of,
    with_condition,
)
from tidegate.kube.resources import NAMESPACES, Resource
from tidegate.workloads.pods import spec_of

FINALIZER = "kubernetes"
_CONTENT_REMAINING = "NamespaceContentRemaining"


class NamespaceController:
    """Reconciles namespaces with a deletionTimestamp.

    Args:
        context: client, informers, clock.
        collected: every resource whose objects can live in a namespace.
    """

    def __init__(self, context: Context, *, collected: Sequence[Resource]) -> None:
        self._client = context.client
        self._clock = context.clock
        self._namespaces = context.informers.of(NAMESPACES)
        self._contents = [context.informers.of(r) for r in collected if r.namespaced]
        self.controller = Controller("namespace", self.reconcile, clock=context.clock).watch(
            self._namespaces
        )
        for informer in self._contents:
            self.controller.watch(informer, self._terminating_namespace)

    def _terminating_namespace(self, obj: Object) -> Iterable[Key]:
        namespace = self._namespaces.get(namespace_of(obj))
        return (Key("", namespace_of(obj)),) if namespace and is_deleting(namespace) else ()

    async def reconcile(self, key: Key) -> float | None:
        """Delete the contents of one namespace; drop its finalizer when none are left."""
        namespace = self._namespaces.get(key.name)
        if namespace is None or not is_deleting(namespace):
            return None
        if FINALIZER not in (spec_of(namespace).get("finalizers") or ()):
            return None
        remaining = await self._remaining(key.name)
        if remaining:
            await self._report(namespace, remaining)
            doomed = [(r, obj) for r, objs in remaining for obj in objs if not is_deleting(obj)]
            await asyncio.gather(*(self._delete(resource, obj) for resource, obj in doomed))
            return None  # every deletion's event brings us back
        await self._finalize(namespace)
        return None

    async def _remaining(self, namespace: str) -> list[tuple[Resource, list[Object]]]:
        # Lists, not caches: what a cache has not seen yet would outlive its namespace.
        resources = [informer.resource for informer in self._contents]
        lists = await asyncio.gather(
            *(self._client.list(resource, namespace=namespace) for resource in resources)
        )
        pairs = zip(resources, lists, strict=True)
        return [(resource, listing.items) for resource, listing in pairs if listing.items]

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
        parts = [f"{r.qualified} has {len(objects)} resource instances" for r, objects in remaining]
        condition = {
            "type": _CONTENT_REMAINING,
            "status": "True",
            "reason": "SomeResourcesRemain",
            "message": f"Some resources are remaining: {', '.join(parts)}",
        }
        now = rfc3339(self._clock.time())
        conditions = with_condition(conditions_of(namespace), condition, now=now)
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
