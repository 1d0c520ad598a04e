"""The `Client` of the same process: straight into the pipeline, without HTTP or copies on reads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tidegate.apiserver.api import Api
from tidegate.apiserver.options import DeleteOptions, ListOptions, WatchOptions
from tidegate.apiserver.requests import FieldValidation, RequestContext, User
from tidegate.apiserver.watching import Watch
from tidegate.kube.client import ObjectList, PatchType, WatchEvent
from tidegate.kube.objects import Object, name_of, thaw
from tidegate.kube.resources import Resource


class LocalClient:
    """Satisfies `tidegate.kube.client.Client`.

    Args:
        api: the pipeline.
        user: whose rights apply to every call.
    """

    def __init__(self, api: Api, user: User) -> None:
        self._api = api
        self._user = user

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        spec = self._api.registry.of(resource)
        return (await self._api.get(self._context(), spec, name, namespace=namespace)).object

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        listing = await self._api.list(
            self._context(),
            self._api.registry.of(resource),
            namespace=namespace,
            options=ListOptions(label_selector=label_selector, field_selector=field_selector),
        )
        return ObjectList([item.object for item in listing.items], str(listing.version))

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        options = WatchOptions(
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
        )
        return self._watching(resource, namespace, options)

    async def create(
        self, resource: Resource, obj: Object, *, namespace: str | None = None
    ) -> Object:
        spec = self._api.registry.of(resource)
        stored = await self._api.create(self._context(), spec, thaw(obj), namespace=namespace)
        return stored.object

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        stored = await self._api.update(
            self._context(),
            self._api.registry.of(resource),
            name_of(obj),
            thaw(obj),
            namespace=obj["metadata"].get("namespace"),
            subresource=subresource,
        )
        return stored.object

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        *,
        namespace: str | None = None,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Object:
        stored, _ = await self._api.patch(
            self._context(),
            self._api.registry.of(resource),
            name,
            thaw(patch),
            patch_type,
            namespace=namespace,
            subresource=subresource,
        )
        return stored.object

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str | None = None,
        propagation: str = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_seconds: int | None = None,
    ) -> None:
        options = DeleteOptions(
            propagation=propagation,
            grace_period_seconds=grace_period_seconds,
            uid=uid,
            resource_version=resource_version,
        )
        spec = self._api.registry.of(resource)
        await self._api.delete(self._context(), spec, name, namespace=namespace, options=options)

    def _context(self) -> RequestContext:
        return RequestContext(self._user, field_validation=FieldValidation.STRICT)

    @asynccontextmanager
    async def _watching(
        self, resource: Resource, namespace: str | None, options: WatchOptions
    ) -> AsyncGenerator[AsyncIterator[WatchEvent]]:
        spec = self._api.registry.of(resource)
        watch = self._api.watch(self._context(), spec, namespace=namespace, options=options)
        yield _events(watch)


async def _events(watch: Watch) -> AsyncIterator[WatchEvent]:
    while True:
        for event in await watch.next():
            yield WatchEvent(event.type, event.stored.object)
