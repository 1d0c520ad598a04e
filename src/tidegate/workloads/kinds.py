"""The kinds whose objects own, are owned or live in a namespace, custom ones included.

Built-in kinds are there from the start. Those that CustomResourceDefinitions define are followed
at run time: a definition that becomes established begins an informer, one that goes ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.kube.controller import Context
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Object, is_condition_true, name_of
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource
from tidegate.kube.waiting import first_of


class Follower(Protocol):
    """Who wants to know of every kind."""

    def begin(self, informer: Informer) -> None:
        """A kind is followed from now on."""
        ...

    def end(self, informer: Informer) -> None:
        """A kind is served no longer."""
        ...


@dataclass(frozen=True)
class _Custom:
    informer: Informer
    task: asyncio.Task[None]


class Kinds:
    """All kinds, and an informer of each.

    Args:
        context: client, informers, clock; informers of built-in kinds are run by their owner.
        builtin: the kinds that need no definition.
    """

    def __init__(self, context: Context, *, builtin: Sequence[Resource]) -> None:
        self._client = context.client
        self._clock = context.clock
        self._builtin = [context.informers.of(resource) for resource in builtin]
        self._definitions = context.informers.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._custom: dict[str, _Custom] = {}
        self._followers: list[Follower] = []
        self._changed = asyncio.Event()
        self._begun = asyncio.Event()
        self._definitions.add_handler(self._on_change)

    def follow(self, follower: Follower) -> None:
        """Tell `follower` of all kinds, those of now and those to come."""
        self._followers.append(follower)
        for informer in self._informers():
            follower.begin(informer)

    def resources(self) -> list[Resource]:
        """All kinds that are followed now."""
        return [informer.resource for informer in self._informers()]

    async def wait_synced(self) -> None:
        """Wait until all objects of the kinds that are there at the start are known."""
        await self._begun.wait()
        for informer in self._builtin:
            await informer.wait_synced()
        for custom in list(self._custom.values()):
            # The definition may go while its objects are being listed.
            await first_of(custom.informer.wait_synced(), _ended(custom.task))

    async def run(self) -> None:
        """Follow the definitions until cancelled."""
        await self._definitions.wait_synced()
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                self._adjust(group)
                self._begun.set()
                await self._changed.wait()

    def _informers(self) -> list[Informer]:
        return [*self._builtin, *(custom.informer for custom in self._custom.values())]

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        del old, new
        self._changed.set()

    def _adjust(self, group: asyncio.TaskGroup) -> None:
        wanted = {
            name_of(definition): resource
            for definition in self._definitions.items()
            if (resource := _resource(definition)) is not None
        }
        for name, custom in list(self._custom.items()):
            if wanted.get(name) != custom.informer.resource:
                del self._custom[name]
                custom.task.cancel()
                for follower in self._followers:
                    follower.end(custom.informer)
        for name, resource in wanted.items():
            if name not in self._custom:
                informer = Informer(self._client, resource, clock=self._clock)
                self._custom[name] = _Custom(informer, group.create_task(informer.run()))
                for follower in self._followers:
                    follower.begin(informer)


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})


def _resource(definition: Object) -> Resource | None:
    """The kind of an established definition, at the version it is stored in if that is served."""
    served = [version for version in definition["spec"]["versions"] if version.get("served")]
    if not served or not is_condition_true(definition, "Established"):
        return None
    version = next((v for v in served if v.get("storage")), served[0])
    spec = definition["spec"]
    return Resource(
        str(spec["group"]),
        str(version["name"]),
        str(spec["names"]["kind"]),
        str(spec["names"]["plural"]),
        spec["scope"] == "Namespaced",
    )
