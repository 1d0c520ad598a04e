"""Which objects a controller holds: claimed by owner reference, adopted or let go by selector."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tidegate.kube.client import Client
from tidegate.kube.errors import Conflict, NotFound
from tidegate.kube.informer import Informer
from tidegate.kube.objects import (
    Key,
    Object,
    controller_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    owner_reference,
    owner_references_of,
    uid_of,
)
from tidegate.kube.resources import Resource
from tidegate.kube.selectors import Selector, selector_from_spec
from tidegate.kube.waiting import all_of

_BY_CONTROLLER = "controller-uid"
_ORPHANS = "orphans-of-namespace"


def index_ownership(informer: Informer) -> None:
    """Prepare `informer` for `claim`."""
    informer.add_index(_BY_CONTROLLER, _controller_uid)
    informer.add_index(_ORPHANS, _orphan_namespace)


def controlled(informer: Informer, owner: Object) -> list[Object]:
    """The objects whose controller is `owner`."""
    return informer.by_index(_BY_CONTROLLER, uid_of(owner))


def orphans(informer: Informer, namespace: str) -> list[Object]:
    """The objects of a namespace that have no controller."""
    return informer.by_index(_ORPHANS, namespace)


def selector_of(owner: Object) -> Selector:
    return selector_from_spec(owner["spec"].get("selector"))


async def claim(client: Client, informer: Informer, owner: Object) -> list[Object]:
    """The objects that `owner` controls.

    Adopts what its selector matches and nobody controls, and lets go of what it matches no more.
    """
    resource = informer.resource
    selector = selector_of(owner)
    held = controlled(informer, owner)
    kept = [obj for obj in held if selector.matches_object(obj) or is_deleting(obj)]
    released = [obj for obj in held if not (selector.matches_object(obj) or is_deleting(obj))]
    adopted: list[Object] = []
    # A selector without terms would adopt the whole namespace; the API refuses it, so do we.
    if not is_deleting(owner) and selector.requirements:
        adopted = [
            obj
            for obj in orphans(informer, namespace_of(owner))
            if selector.matches_object(obj) and not is_deleting(obj)
        ]
    if released:
        await all_of(*(_release(client, resource, obj, owner) for obj in released))
    if adopted:
        taken = await all_of(*(_adopt(client, resource, obj, owner) for obj in adopted))
        kept.extend(obj for obj in taken if obj is not None)
    return kept


def adopters(owners: Informer) -> Callable[[Object], list[Key]]:
    """Maps an orphan to the keys of those among `owners` that would adopt it."""

    def keys(obj: Object) -> list[Key]:
        if controller_of(obj) is not None or is_deleting(obj):
            return []
        return [key_of(owner) for owner in matching_owners(owners, obj)]

    return keys


def matching_owners(owners: Informer, obj: Object) -> Iterable[Object]:
    """Those among `owners` whose selector matches the orphan `obj`."""
    for owner in owners.items(namespace_of(obj)):
        selector = selector_of(owner)
        if selector.requirements and selector.matches_object(obj):
            yield owner


async def _adopt(client: Client, resource: Resource, obj: Object, owner: Object) -> Object | None:
    references = [*owner_references_of(obj), owner_reference(owner)]
    return await _set_references(client, resource, obj, references)


async def _release(client: Client, resource: Resource, obj: Object, owner: Object) -> None:
    references = [r for r in owner_references_of(obj) if r.get("uid") != uid_of(owner)]
    await _set_references(client, resource, obj, references)


async def _set_references(
    client: Client, resource: Resource, obj: Object, references: list[Object]
) -> Object | None:
    # The resourceVersion makes the patch fail rather than overwrite another owner's claim.
    metadata = {
        "ownerReferences": references,
        "resourceVersion": obj["metadata"]["resourceVersion"],
    }
    try:
        return await client.patch(
            resource, name_of(obj), {"metadata": metadata}, namespace=namespace_of(obj)
        )
    except (Conflict, NotFound):
        return None


def _controller_uid(obj: Object) -> Iterable[str]:
    reference = controller_of(obj)
    if reference is not None:
        yield str(reference.get("uid", ""))


def _orphan_namespace(obj: Object) -> Iterable[str]:
    if controller_of(obj) is None:
        yield namespace_of(obj)
