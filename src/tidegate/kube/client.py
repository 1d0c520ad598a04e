"""The `Client` protocol: the only way any part of Tidegate reads or writes cluster state.

In the process of the embedded server it calls the store directly; elsewhere it speaks HTTPS.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource


class PatchType(StrEnum):
    """A patch's media type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class EventType(StrEnum):
    """What a watch says of an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True)
class WatchEvent:
    """One change; for `DELETED` the object is its last state."""

    type: EventType
    object: Object


@dataclass(frozen=True)
class ObjectList:
    """A consistent read and the resourceVersion from which a watch continues it."""

    items: list[Object]
    resource_version: str


class Client(Protocol):
    """Kubernetes verbs on `Resource`s.

    Every method raises `tidegate.kube.errors.ApiError` subclasses. Objects returned are shared:
    copy before changing (`objects.thaw`). `namespace` is None for cluster-scoped resources and for
    lists and watches over all namespaces.
    """

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        """One object. Raises NotFound."""
        ...

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList:
        """All objects that match, as of one resourceVersion."""
        ...

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Changes after `resource_version`, until the context is left or the server ends it.

        Iteration raises Gone when the version is too old or the watcher too slow: list again.
        """
        ...

    async def create(
        self, resource: Resource, obj: Object, *, namespace: str | None = None
    ) -> Object:
        """Create; `namespace` defaults to the object's. Raises AlreadyExists, Invalid."""
        ...

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Replace. Raises Conflict when the object's resourceVersion is not the current one."""
        ...

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
        """Change parts: a merge patch is a mapping, a JSON patch a list of operations."""
        ...

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
        """Delete. Raises NotFound, and Conflict when `uid` or `resource_version` do not match."""
        ...
