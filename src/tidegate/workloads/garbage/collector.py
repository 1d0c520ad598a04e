"""Deletes what has lost its owners: in the background, in the foreground, or orphaned instead.

- Background: the owner goes at once; each dependent follows when the collector sees it gone.
- Foreground: the owner carries the finalizer `foregroundDeletion` until the dependents that
  block it are gone; they are deleted first.
- Orphan: the owner carries the finalizer `orphan` until its dependents no longer name it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.kube.controller import Context, Workers
from tidegate.kube.errors import NotFound
from tidegate.kube.informer import Handler, Informer
from tidegate.kube.objects import (
    Object,
    is_deleting,
    name_of,
    namespace_of,
    owner_references_of,
    resource_version_of,
    uid_of,
)
from tidegate.kube.resources import EVENTS, Resource
from tidegate.kube.waiting import all_of
from tidegate.workloads.garbage.graph import Item, OwnershipGraph
from tidegate.workloads.kinds import Kinds

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_WORKERS = 8


@dataclass(frozen=True)
class _Owners:
    """An object's owner references by what became of the owner."""

    solid: list[Object]
    dangling: list[Object]
    waiting: list[Object]


class GarbageCollector:
    """Follows owner references over all kinds but events, which end with their age.

    Args:
        context: client, informers, clock.
        kinds: those that own or are owned; owners of other kinds count as present.
    """

    def __init__(self, context: Context, *, kinds: Kinds) -> None:
        self._client = context.client
        self._kinds = kinds
        self._informers: dict[Resource, Informer] = {}
        self._graph = OwnershipGraph()
        self._workers = Workers("garbage", self._process, clock=context.clock, workers=_WORKERS)
        kinds.follow(self)

    def begin(self, informer: Informer) -> None:
        """Collect objects of one more kind."""
        if informer.resource != EVENTS:
            self._informers[informer.resource] = informer
            informer.add_handler(self._handler(informer.resource))

    def end(self, informer: Informer) -> None:
        """A kind is no longer served; its objects own nothing any more."""
        if self._informers.pop(informer.resource, None) is not None:
            for obj in informer.items():
                self._gone(informer.resource, obj)

    async def run(self) -> None:
        """Collect until cancelled; starts when every object is known."""
        await self._kinds.wait_synced()
        await self._workers.run()

    def _handler(self, resource: Resource) -> Handler:
        def handle(old: Object | None, new: Object | None) -> None:
            replaced = old is not None and new is not None and uid_of(old) != uid_of(new)
            if old is not None and (new is None or replaced):
                self._gone(resource, old)
            if new is not None:
                self._seen(resource, new)

        return handle

    def _gone(self, resource: Resource, obj: Object) -> None:
        owners = self._graph.owners(uid_of(obj))
        item = self._graph.remove(resource, obj)
        for dependent in self._graph.dependents(item.uid):
            self._workers.queue.add(dependent)
        self._wake_owners(owners)

    def _seen(self, resource: Resource, obj: Object) -> None:
        before = self._graph.owners(uid_of(obj))
        item = self._graph.put(resource, obj)
        owners = self._graph.owners(item.uid)
        if is_deleting(obj) and _finalizers(obj) & {FOREGROUND, ORPHAN}:
            self._workers.queue.add(item)
        if owners != before and any(self._is_going(owner) for owner in owners):
            self._workers.queue.add(item)
        self._wake_owners(before - owners)

    def _wake_owners(self, uids: frozenset[str]) -> None:
        """An owner in foreground deletion waits for its dependents."""
        for uid in uids:
            owner = self._graph.find(uid)
            if owner is not None and self._is_going(uid):
                self._workers.queue.add(owner)

    def _is_going(self, uid: str) -> bool:
        obj = self._object(self._graph.find(uid))
        return obj is None or is_deleting(obj)

    def _object(self, item: Item | None) -> Object | None:
        informer = self._informers.get(item.resource) if item is not None else None
        if item is None or informer is None:
            return None
        obj = informer.get(item.key.name, item.key.namespace)
        return obj if obj is not None and uid_of(obj) == item.uid else None

    async def _process(self, item: Item) -> None:
        obj = self._object(item)
        if obj is None:
            return
        if is_deleting(obj) and ORPHAN in _finalizers(obj):
            await self._orphan_dependents(item, obj)
        elif is_deleting(obj) and FOREGROUND in _finalizers(obj):
            await self._delete_dependents(item, obj)
        elif not is_deleting(obj):
            await self._delete_if_ownerless(item, obj)

    async def _orphan_dependents(self, item: Item, obj: Object) -> None:
        dependents = self._graph.dependents(item.uid)
        await all_of(*(self._disown(dependent, {item.uid}) for dependent in dependents))
        await self._drop_finalizer(item, obj, ORPHAN)

    async def _delete_dependents(self, item: Item, obj: Object) -> None:
        dependents = self._graph.dependents(item.uid)
        if not any(self._blocks(dependent, item.uid) for dependent in dependents):
            await self._drop_finalizer(item, obj, FOREGROUND)
            return
        for dependent in dependents:
            self._workers.queue.add(dependent)

    def _blocks(self, dependent: Item, owner: str) -> bool:
        obj = self._object(dependent)
        return obj is not None and any(
            r.get("uid") == owner and r.get("blockOwnerDeletion") for r in owner_references_of(obj)
        )

    async def _delete_if_ownerless(self, item: Item, obj: Object) -> None:
        owners = await self._classify(obj)
        going = [*owners.dangling, *owners.waiting]
        if not going:
            return
        if owners.solid:
            await self._disown(item, {str(r["uid"]) for r in going})
            return
        if owners.waiting and self._graph.dependents(item.uid):
            propagation = "Foreground"
        elif ORPHAN in _finalizers(obj):
            propagation = "Orphan"
        elif FOREGROUND in _finalizers(obj):
            propagation = "Foreground"
        else:
            propagation = "Background"
        try:
            # The resourceVersion refuses the delete if the object found a new owner meanwhile.
            await self._client.delete(
                item.resource,
                name_of(obj),
                namespace=namespace_of(obj) or None,
                propagation=propagation,
                uid=item.uid,
                resource_version=resource_version_of(obj),
            )
        except NotFound:
            return

    async def _classify(self, obj: Object) -> _Owners:
        owners = _Owners([], [], [])
        for reference in owner_references_of(obj):
            owner = self._owner(reference, obj)
            if owner is None and not await self._exists(reference, obj):
                owners.dangling.append(reference)
            elif owner is not None and is_deleting(owner) and FOREGROUND in _finalizers(owner):
                owners.waiting.append(reference)
            else:
                owners.solid.append(reference)
        return owners

    def _owner(self, reference: Object, dependent: Object) -> Object | None:
        """The owner as far as it is known here; an object of another namespace owns nothing."""
        owner = self._object(self._graph.find(str(reference.get("uid", ""))))
        if owner is None or namespace_of(owner) not in ("", namespace_of(dependent)):
            return None
        return owner

    async def _exists(self, reference: Object, dependent: Object) -> bool:
        """Ask the API, for the cache of the owner's resource may lag behind the dependent's."""
        group = str(reference["apiVersion"]).rpartition("/")[0]
        resource = self._find_kind(group, str(reference["kind"]))
        # What is in no namespace cannot have an owner that is in one: whether that is there
        # cannot be known.
        if resource is None or (resource.namespaced and not namespace_of(dependent)):
            return True
        namespace = namespace_of(dependent) if resource.namespaced else None
        try:
            owner = await self._client.get(resource, str(reference["name"]), namespace=namespace)
        except NotFound:
            return False
        return uid_of(owner) == reference.get("uid")

    def _find_kind(self, group: str, kind: str) -> Resource | None:
        return next((r for r in self._informers if (r.group, r.kind) == (group, kind)), None)

    async def _disown(self, dependent: Item, owners: set[str]) -> None:
        obj = self._object(dependent)
        if obj is None:
            return
        references = [r for r in owner_references_of(obj) if r.get("uid") not in owners]
        await self._patch_metadata(dependent, obj, {"ownerReferences": references})

    async def _drop_finalizer(self, item: Item, obj: Object, finalizer: str) -> None:
        finalizers = [f for f in obj["metadata"].get("finalizers") or () if f != finalizer]
        await self._patch_metadata(item, obj, {"finalizers": finalizers})

    async def _patch_metadata(self, item: Item, obj: Object, fields: Object) -> None:
        metadata = {**fields, "resourceVersion": resource_version_of(obj)}
        try:
            await self._client.patch(
                item.resource,
                name_of(obj),
                {"metadata": metadata},
                namespace=namespace_of(obj) or None,
            )
        except NotFound:
            return


def _finalizers(obj: Object) -> set[str]:
    return set(obj["metadata"].get("finalizers") or ())
