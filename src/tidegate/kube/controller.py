"""The runner of reconcilers: keys from informers through a work queue into a pool of workers.

A reconcile reads the caches, writes what is missing and returns; it may die at any instruction
and be run again. Conflicts and other failures are retried with back-off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tidegate.kube.client import Client
from tidegate.kube.clock import Clock
from tidegate.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from tidegate.kube.informer import Informer, Informers
from tidegate.kube.objects import Key, Object, controller_of, key_of, namespace_of
from tidegate.kube.resources import Resource
from tidegate.kube.workqueue import WorkQueue

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

Reconcile = Callable[[Key], Awaitable[float | None]]
Mapper = Callable[[Object], Iterable[Key]]


class Runnable(Protocol):
    """Anything with a life: runs until cancelled."""

    async def run(self) -> None: ...


@dataclass(frozen=True)
class Context:
    """What every controller is built from.

    Attributes:
        client: bound to the identity of the part, with that identity's rights.
        informers: shared by the controllers of the part; the composition runs them.
        clock: the time.
    """

    client: Client
    informers: Informers
    clock: Clock


def own_key(obj: Object) -> Iterable[Key]:
    """Maps an object to itself."""
    return (key_of(obj),)


def owner_key(kind: Resource) -> Mapper:
    """Maps an object to its controller if that is of `kind`."""

    def mapper(obj: Object) -> Iterable[Key]:
        reference = controller_of(obj)
        if (
            reference is None
            or reference["kind"] != kind.kind
            or reference["apiVersion"] != kind.api_version
        ):
            return ()
        return (Key(namespace_of(obj) if kind.namespaced else "", reference["name"]),)

    return mapper


class Workers(Generic[K]):
    """A queue of keys and the pool that works them off, again and again until each succeeds.

    Args:
        name: for logs.
        process: does the work of one key; returns seconds after which to do it again, or None.
        clock: the time, for back-off and returned delays.
        workers: how many keys at once.
    """

    def __init__(
        self,
        name: str,
        process: Callable[[K], Awaitable[float | None]],
        *,
        clock: Clock,
        workers: int = 4,
    ) -> None:
        self.name = name
        self.queue: WorkQueue[K] = WorkQueue(clock)
        self._process = process
        self._workers = workers

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.run_timers())
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._attempt(key)
            finally:
                self.queue.done(key)

    async def _attempt(self, key: K) -> None:
        try:
            again = await self._process(key)
        except (Conflict, NotFound, AlreadyExists) as error:
            delay = self.queue.retry(key)
            logger.debug("%s %s: %s; again in %.3f s", self.name, key, error, delay)
        except ApiError as error:
            delay = self.queue.retry(key)
            logger.warning("%s %s: %s; again in %.3f s", self.name, key, error, delay)
        except Exception:
            delay = self.queue.retry(key)
            logger.exception("%s %s failed; again in %.3f s", self.name, key, delay)
        else:
            self.queue.forget(key)
            if again is not None:
                self.queue.add_after(key, again)


class Controller(Workers[Key]):
    """One reconcile loop: workers whose keys come from informers.

    Args:
        name: for logs.
        reconcile: brings the world of one key in line; returns seconds after which to look
            again, or None.
        clock: the time, for back-off and returned delays.
        workers: how many keys at once.
    """

    def __init__(self, name: str, reconcile: Reconcile, *, clock: Clock, workers: int = 4) -> None:
        super().__init__(name, reconcile, clock=clock, workers=workers)
        self._sources: list[Informer] = []

    def watch(self, informer: Informer, mapper: Mapper = own_key) -> Controller:
        """Queue the keys that `mapper` names for every change in `informer`."""

        def handler(old: Object | None, new: Object | None) -> None:
            for obj in (old, new):
                if obj is not None:
                    for key in mapper(obj):
                        self.queue.add(key)

        informer.add_handler(handler)
        self._sources.append(informer)
        return self

    async def run(self) -> None:
        """Reconcile until cancelled; starts when all sources hold their first list."""
        for informer in self._sources:
            await informer.wait_synced()
        await super().run()
