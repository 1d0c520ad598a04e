"""A real embedded API on a store in a temporary directory, without HTTP, for tests of controllers.

async def test_it(tmp_path):
    async with running_api(tmp_path) as api:
        client = api.client()
        await client.create(PODS, {...})
        await api.eventually(lambda: ...)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support import waiting
from tests.support.virtual_clock import settle
from tidegate.apiserver.api import Api
from tidegate.apiserver.local import LocalClient
from tidegate.apiserver.registry.builtin import default_registry
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.requests import Authorizer, Decision, User
from tidegate.apiserver.storage.store import Store
from tidegate.kube.clock import Clock, SystemClock
from tidegate.kube.objects import Key
from tidegate.kube.resources import NAMESPACES, Resource

BOOTSTRAP_NAMESPACES = (
    "default",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "knative-serving",
    "tidegate-system",
)


class AlwaysAllow:
    """An authorizer that lets everyone do everything."""

    def authorize(
        self,
        user: User,
        verb: str,
        resource: Resource,
        subresource: str = "",
        namespace: str | None = None,
        name: str = "",
    ) -> Decision:
        del user, verb, resource, subresource, namespace, name
        return Decision(True, "everyone may")


class RunningApi:
    """The API and the means to wait for what happens behind it."""

    def __init__(self, api: Api, store: Store) -> None:
        self.api = api
        self.store = store

    def client(self, username: str = "test-admin", groups: tuple[str, ...] = ()) -> LocalClient:
        """A client with the rights of `username`; all rights unless told otherwise."""
        return LocalClient(self.api, User(username, groups))

    async def settle(self) -> None:
        """Wait until all writes are on disk and every task has gone quiet.

        With a virtual clock this is the point at which controllers have done what they can do
        without time passing.
        """
        quiet = 0
        while quiet < 2:
            await settle()
            if self.store.is_idle:
                quiet += 1
            else:
                quiet = 0
                await self.store.wait_idle()

    async def eventually(
        self, check: Callable[[], bool | Awaitable[bool]], *, timeout: float = 30.0
    ) -> None:
        """Wait, in real time, until `check` holds; it may be async. Raises TimeoutError."""
        await waiting.eventually(check, timeout=timeout)


@asynccontextmanager
async def running_api(
    directory: Path,
    clock: Clock | None = None,
    *,
    authorizer: Authorizer | None = None,
    registry: Registry | None = None,
) -> AsyncIterator[RunningApi]:
    """An API on a store in `directory`, with the bootstrap namespaces; opened again it has what
    was there."""
    async with Store(directory / "store.db") as store:
        api = Api(
            store,
            registry or default_registry(),
            authorizer or AlwaysAllow(),
            clock=clock or SystemClock(),
        )
        running = RunningApi(api, store)
        client = running.client()
        for name in BOOTSTRAP_NAMESPACES:
            if store.get("/namespaces", Key("", name)) is None:
                namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                await client.create(NAMESPACES, namespace)
        yield running
