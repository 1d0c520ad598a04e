"""Informers and controllers against the real API: complete, in order, through every failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.api import running_api
from tests.support.virtual_clock import VirtualClock
from tidegate.kube.client import Client, ObjectList, WatchEvent
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Controller
from tidegate.kube.errors import Conflict, Gone, ServiceUnavailable
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Key, Object, name_of, thaw
from tidegate.kube.resources import CONFIG_MAPS, Resource


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running_api(tmp_path) as api:
        yield api.client()


def _config_map(name: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


class Recorder:
    """A handler that remembers and can be awaited."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def __call__(self, old: Object | None, new: Object | None) -> None:
        verb = "added" if old is None else "deleted" if new is None else "modified"
        self.changes.append((verb, name_of(new or old or {})))
        self._changed.set()

    async def until(self, count: int) -> list[tuple[str, str]]:
        async with asyncio.timeout(5):
            while len(self.changes) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.changes


async def test_informer_follows_every_change_in_order(client: Client) -> None:
    await client.create(CONFIG_MAPS, _config_map("before"))
    informer = Informer(client, CONFIG_MAPS, clock=SystemClock(), namespace="default")
    informer.add_index("by-colour", lambda obj: obj.get("data", {}).get("colour", "").split())
    recorder = Recorder()
    informer.add_handler(recorder)
    running = asyncio.create_task(informer.run())
    try:
        await informer.wait_synced()
        created = await client.create(CONFIG_MAPS, _config_map("later", colour="red"))
        changed = thaw(created)
        changed["data"]["colour"] = "blue"
        await client.update(CONFIG_MAPS, changed)
        await client.delete(CONFIG_MAPS, "before", namespace="default")
        assert await recorder.until(4) == [
            ("added", "before"),
            ("added", "later"),
            ("modified", "later"),
            ("deleted", "before"),
        ]
        assert [name_of(obj) for obj in informer.by_index("by-colour", "blue")] == ["later"]
        assert informer.by_index("by-colour", "red") == []
        assert informer.get("before", "default") is None
        assert [name_of(obj) for obj in informer.items("default")] == ["later"]
    finally:
        running.cancel()


class Flaky:
    """A client whose reads fail as often as told, and whose watch once says Gone."""

    def __init__(self, client: Client, *, failures: int) -> None:
        self._client = client
        self.failures = failures
        self.lists = 0
        self.gone = True

    async def list(self, resource: Resource, **options: str) -> ObjectList:
        self.lists += 1
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("not now")
        return await self._client.list(resource, **options)

    def watch(
        self, resource: Resource, **options: str
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        if self.gone:
            self.gone = False
            return self._too_old()
        return self._client.watch(resource, **options)

    @asynccontextmanager
    async def _too_old(self) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        raise Gone("too old")
        yield


async def test_informer_lists_again_after_gone_and_after_failures(client: Client) -> None:
    await client.create(CONFIG_MAPS, _config_map("one"))
    clock = VirtualClock()
    flaky = Flaky(client, failures=3)
    informer = Informer(flaky, CONFIG_MAPS, clock=clock, namespace="default")
    recorder = Recorder()
    informer.add_handler(recorder)
    running = asyncio.create_task(informer.run())
    try:
        await clock.advance(2.5)
        assert not informer.is_synced
        await clock.advance(0.5)
        await informer.wait_synced()
        await client.create(CONFIG_MAPS, _config_map("two"))
        assert await recorder.until(2) == [("added", "one"), ("added", "two")]
        assert flaky.lists == 5
    finally:
        running.cancel()


class Curt:
    """A client whose watches end as soon as they have begun."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.watches = 0

    async def list(self, resource: Resource, **options: str) -> ObjectList:
        return await self._client.list(resource, **options)

    @asynccontextmanager
    async def watch(
        self, _resource: Resource, **_options: str
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        self.watches += 1
        await asyncio.sleep(0)
        yield _nothing()


async def _nothing() -> AsyncIterator[WatchEvent]:
    return
    yield


async def test_watches_that_end_at_once_are_not_asked_for_without_pause(client: Client) -> None:
    clock, curt = VirtualClock(), Curt(client)
    informer = Informer(curt, CONFIG_MAPS, clock=clock)
    running = asyncio.create_task(informer.run())
    try:
        await informer.wait_synced()
        await clock.advance(10)
        assert 10 <= curt.watches <= 11
    finally:
        running.cancel()


async def test_a_failing_handler_does_not_stop_the_others(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    informer = Informer(client, CONFIG_MAPS, clock=SystemClock(), namespace="default")
    recorder = Recorder()
    informer.add_handler(lambda _old, _new: 1 / 0)
    informer.add_handler(recorder)
    running = asyncio.create_task(informer.run())
    try:
        await informer.wait_synced()
        await client.create(CONFIG_MAPS, _config_map("x"))
        await recorder.until(1)
        assert "a handler of configmaps failed" in caplog.text
    finally:
        running.cancel()


async def test_controller_retries_with_back_off_and_looks_again_when_asked(client: Client) -> None:
    clock = VirtualClock()
    informer = Informer(client, CONFIG_MAPS, clock=clock, namespace="default")
    calls: list[tuple[float, Key]] = []
    called = asyncio.Event()
    outcomes: list[Exception | float | None] = [Conflict("changed"), ValueError("bug"), 30.0, None]

    async def reconcile(key: Key) -> float | None:
        calls.append((clock.monotonic(), key))
        called.set()
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    controller = Controller("test", reconcile, clock=clock).watch(informer)
    tasks = [asyncio.create_task(informer.run()), asyncio.create_task(controller.run())]
    try:
        await client.create(CONFIG_MAPS, _config_map("x"))
        async with asyncio.timeout(5):
            await called.wait()
        await clock.advance(60)
        times = [when for when, _ in calls]
        assert times == pytest.approx([0, 0.005, 0.015, 30.015])
        assert {key for _, key in calls} == {Key("default", "x")}
    finally:
        for task in tasks:
            task.cancel()
