"""Creating and correcting the objects a controller owns, and writing statuses."""

from __future__ import annotations

import contextlib
from typing import Any, cast

from tidegate.kube.client import Client
from tidegate.kube.errors import BadRequest, Forbidden, Invalid, NotFound
from tidegate.kube.events import EventRecorder
from tidegate.kube.informer import Informer
from tidegate.kube.objects import (
    Object,
    is_controlled_by,
    name_of,
    namespace_of,
    thaw,
    uid_of,
)
from tidegate.kube.resources import Resource

# What Knative admits and Kubernetes does not, or a right or quota that is missing.
REFUSALS = (BadRequest, Invalid, Forbidden)
FAILED_CREATE = "FailedCreate"
# What was refused has no event when it would be granted.
RETRY_SECONDS = 30.0


class NotOwnedError(Exception):
    """The name is taken by an object that belongs to someone else."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f'There is an existing {kind} "{name}" that we do not own.')
        self.kind = kind
        self.name = name


class Children:
    """The children of one kind.

    Args:
        client: writes.
        informer: reads; of the children's kind.
        recorder: tells the owner's events of children created; None keeps silent.
    """

    def __init__(
        self, client: Client, informer: Informer, *, recorder: EventRecorder | None = None
    ) -> None:
        self._client = client
        self._informer = informer
        self._recorder = recorder
        self._resource: Resource = informer.resource

    async def ensure_exact(self, owner: Object, desired: Object) -> Object:
        """Make labels, annotations and spec exactly as desired. Raises NotOwnedError."""
        live = self._live(owner, desired)
        if live is None:
            return await self._create(owner, desired)
        wanted = _metadata(desired)
        current = _metadata(live)
        if live.get("spec") == desired["spec"] and current == wanted:
            return live
        metadata = {**live["metadata"], **wanted}
        return await self._client.update(
            self._resource, {**live, "metadata": metadata, "spec": desired["spec"]}
        )

    async def ensure_covers(
        self, owner: Object, desired: Object, *, keep: tuple[str, ...] = ()
    ) -> Object:
        """Make the object contain what is desired; what others added stays. Raises NotOwnedError.

        Args:
            keep: fields of the spec that are only for the creation.
        """
        live = self._live(owner, desired)
        if live is None:
            return await self._create(owner, desired)
        spec = {key: value for key, value in desired["spec"].items() if key not in keep}
        wanted = {"metadata": _metadata(desired), "spec": spec}
        if covers(live, wanted):
            return live
        merged: Object = thaw(live)
        for section in ("labels", "annotations"):
            merged["metadata"].setdefault(section, {}).update(wanted["metadata"][section])
        merged["spec"].update(spec)
        return await self._client.update(self._resource, merged)

    async def remove(self, owner: Object, name: str) -> None:
        """Delete a child that is there and owned; one that is gone already is as good."""
        live = self._informer.get(name, namespace_of(owner))
        if live is not None and is_controlled_by(live, owner):
            # By then somebody else may have made one of that name.
            with contextlib.suppress(NotFound):
                await self._client.delete(
                    self._resource, name, namespace=namespace_of(owner), uid=uid_of(live)
                )

    async def _create(self, owner: Object, desired: Object) -> Object:
        created = await self._client.create(self._resource, desired)
        if self._recorder is not None:
            message = f'Created {self._resource.kind} "{name_of(created)}"'
            await self._recorder.normal(owner, "Created", message)
        return created

    def _live(self, owner: Object, desired: Object) -> Object | None:
        live = self._informer.get(name_of(desired), namespace_of(desired))
        if live is not None and not is_controlled_by(live, owner):
            raise NotOwnedError(self._resource.kind, name_of(desired))
        return live


async def write_status(client: Client, resource: Resource, obj: Object, status: Object) -> Object:
    """Write `status` unless `obj` has it; conflicts show that `obj` was out of date."""
    if obj.get("status") == status:
        return obj
    return await client.update(resource, {**obj, "status": status}, subresource="status")


def covers(live: Any, desired: Any) -> bool:
    """Whether `live` has all of `desired`; maps may have more, lists must be as long."""
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return not desired and live is None
        have = cast("Object", live)
        return all(covers(have.get(k), v) for k, v in cast("Object", desired).items())
    if isinstance(desired, list):
        wanted = cast("list[Any]", desired)
        if not isinstance(live, list):
            return not wanted and live is None
        found = cast("list[Any]", live)
        pairs = zip(found, wanted, strict=False)
        return len(found) == len(wanted) and all(covers(a, b) for a, b in pairs)
    return bool(live == desired)


def _metadata(obj: Object) -> dict[str, dict[str, str]]:
    metadata = obj["metadata"]
    return {section: metadata.get(section) or {} for section in ("labels", "annotations")}
