"""Writing what a controller makes as a whole, and deleting what it has made too much of."""

from __future__ import annotations

from tidegate.kube.client import Client
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import Object, name_of, namespace_of, thaw, uid_of
from tidegate.kube.resources import Resource


async def replace(client: Client, resource: Resource, wanted: Object, known: Object) -> None:
    """Write `wanted` in place of `known`, unless somebody else has changed it since.

    Raises:
        Conflict: somebody has.
    """
    replacement = thaw(wanted)
    replacement["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
    await client.update(resource, replacement)


async def remove(client: Client, resource: Resource, item: Object) -> None:
    """Delete this very object; one that is gone already is as good."""
    try:
        await client.delete(resource, name_of(item), namespace=namespace_of(item), uid=uid_of(item))
    except NotFound:
        return
