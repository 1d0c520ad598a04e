"""Not one request fails while everything that an operator does is done under load.

HITLESS_REQUESTS=100000 pytest tests/e2e/test_hitless.py     # part of `make torture`
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import Platform, knative_service, running_platform
from tests.e2e.proxy import kill_proxy

_REQUESTS = int(os.environ.get("HITLESS_REQUESTS", "2000"))
_MOST_PODS = 10
_SCALING = {
    "autoscaling.knative.dev/max-scale": str(_MOST_PODS),
    "autoscaling.knative.dev/target-utilization-percentage": "100",
}


@dataclass(frozen=True)
class Kind:
    """A service under load: its containerConcurrency, most clients, and seconds per request."""

    name: str
    concurrency: int
    clients: int
    work: float


_BOUND = Kind("bound", 1, 24, 0.03)
_FREE = Kind("free", 0, 4, 0.005)
_KINDS = (_BOUND, _FREE)


class Load:
    """Half of the clients keep their connection, half open one for each request."""

    def __init__(self, port: int, kind: Kind) -> None:
        self._port = port
        self._kind = kind
        self._busy = 4
        self._ends = False
        self._killed = float("inf")
        self.answers: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.lost: Counter[int] = Counter()
        self.pods: set[str] = set()
        self.most = 0

    def resize(self, number: int) -> None:
        """So many clients ask from now on."""
        self._busy = number

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as group:
            for place in range(self._kind.clients):
                group.create_task(self._client(place))
            try:
                yield
            finally:
                self._ends = True

    @asynccontextmanager
    async def losing(self) -> AsyncGenerator[None]:
        """HAProxy is killed now: what fails meanwhile is counted by client."""
        self._killed = time.monotonic()
        try:
            yield
        finally:
            self._killed = float("inf")

    async def _client(self, place: int) -> None:
        connection = None
        while not self._ends:
            if place >= self._busy:
                await asyncio.sleep(0.05)
                continue
            if connection is not None and connection[0].at_eof():
                # It was idle for too long: nothing had been asked on it.
                connection[1].close()
                connection = None
            asked = time.monotonic()
            try:
                if connection is None:
                    connection = await asyncio.open_connection("127.0.0.1", self._port)
                await self._ask(*connection)
            except (OSError, asyncio.IncompleteReadError) as error:
                await self._failed(place, asked, error)
                is_kept = False
            else:
                is_kept = place % 2 == 0
            if connection is not None and not is_kept:
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    async def _failed(self, place: int, asked: float, error: Exception) -> None:
        nobody_listens = isinstance(error, ConnectionRefusedError | ConnectionResetError)
        if time.monotonic() < self._killed:
            self.answers[type(error).__name__] += 1
        elif asked > self._killed and nobody_listens:
            # The kernel resets what came for a process that is being ended and took it no more.
            await asyncio.sleep(0.01)
        else:
            self.lost[place] += 1

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = f"{self._kind.name}.default.localhost"
        head = f"GET /?work={self._kind.work} HTTP/1.1\r\nHost: {host}\r\nTidegate-Debug: 1\r\n\r\n"
        writer.write(head.encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        self.answers[head.split(" ", 2)[1]] += 1
        self.pods.add(headers.get("tidegate-pod", ""))
        self.versions[body.partition('"version": "')[2].partition('"')[0]] += 1
        self.most = max(self.most, int(body.partition('"most": ')[2].partition(",")[0] or 0))

    async def more(self, number: int, *, version: str | None = None) -> None:
        """Wait for so many more answers, of one version if it is named."""

        def count() -> int:
            return self.answers.total() if version is None else self.versions[version]

        goal = count() + number
        async with asyncio.timeout(90):
            while count() < goal:  # noqa: ASYNC110 - the count is the event
                await asyncio.sleep(0.02)


class Operator:
    """Does to both services, round after round, what may be done to a platform."""

    def __init__(self, platform: Platform, loads: dict[Kind, Load]) -> None:
        self._platform = platform
        self._loads = loads
        self._version = 0

    async def deploy(self, traffic: list[dict[str, Any]] | None = None) -> str:
        """The next version of both services, whose number is returned."""
        self._version += 1
        await self._apply(traffic)
        return str(self._version)

    async def _apply(self, traffic: list[dict[str, Any]] | None) -> None:
        for kind in _KINDS:
            await asyncio.to_thread(
                self._platform.apply,
                knative_service(
                    kind.name,
                    annotations=_SCALING,
                    env={"VERSION": str(self._version)},
                    concurrency=kind.concurrency,
                    traffic=traffic,
                ),
            )

    async def wait_ready(self, *names: str) -> None:
        await asyncio.to_thread(self._platform.wait_ready, *(f"ksvc/{name}" for name in names))

    async def round(self) -> None:
        await self.roll_out()
        await self.scale(1, 0)
        await asyncio.gather(self._services_beside(), self._move_in_steps())
        await self._restart_control_plane(kill=self._version % 2 == 0)

    async def roll_out(self) -> None:
        """A new revision takes all traffic."""
        version = await self.deploy()
        for load in self._loads.values():
            await load.more(100, version=version)

    async def scale(self, *rests: int) -> None:
        """10 pods of the limited service, then each of these numbers and 10 again.

        At a rest of zero the other service goes to zero too.
        """
        bound, free = self._loads[_BOUND], self._loads[_FREE]
        for rest in rests:
            bound.resize(_BOUND.clients)
            await self.pods("bound", at_least=_MOST_PODS)
            await bound.more(300)
            bound.resize(rest)
            free.resize(rest)
            await self.pods("bound", at_most=rest)
        await self.pods("free", at_most=0)
        bound.resize(_BOUND.clients)
        free.resize(_FREE.clients)
        await self.pods("bound", at_least=_MOST_PODS)
        await free.more(100)
        bound.resize(4)

    async def pods(self, service: str, *, at_least: int = 0, at_most: int = 99) -> None:
        """Wait until the service has so many ready pods, of all of its revisions."""
        label = f"serving.knative.dev/service={service}"
        async with asyncio.timeout(90):
            while True:
                found = await asyncio.to_thread(self._platform.get, "deployments", "-l", label)
                ready = sum(item["status"].get("readyReplicas", 0) for item in found["items"])
                if at_least <= ready <= at_most:
                    return
                await asyncio.sleep(0.3)

    async def _services_beside(self) -> None:
        for number in range(4):
            name = f"beside-{number}"
            await asyncio.to_thread(self._platform.apply, knative_service(name))
            await self.wait_ready(name)
            host = f"{name}.default.localhost"
            answer = await asyncio.to_thread(self._platform.request, host)
            assert answer.status_code == 200
            await asyncio.to_thread(self._platform.kubectl, "delete", f"ksvc/{name}")

    async def _move_in_steps(self) -> None:
        """Traffic moves to a new revision by and by."""
        known = await asyncio.to_thread(self._platform.get, "ksvc/bound")
        before = known["status"]["latestReadyRevisionName"].removeprefix("bound-")
        self._version += 1
        for percent in (0, 10, 40, 80, 100):
            await asyncio.gather(*(self._share(kind, before, percent) for kind in _KINDS))
            for load in self._loads.values():
                await load.more(50)
                if percent:
                    await load.more(10, version=str(self._version))

    async def _share(self, kind: Kind, before: str, percent: int) -> None:
        traffic = [
            {"revisionName": f"{kind.name}-{before}", "percent": 100 - percent},
            {"latestRevision": True, "percent": percent},
        ]
        manifest = knative_service(
            kind.name,
            annotations=_SCALING,
            env={"VERSION": str(self._version)},
            concurrency=kind.concurrency,
            traffic=traffic,
        )
        await asyncio.to_thread(self._platform.apply, manifest)

    async def _restart_control_plane(self, *, kill: bool) -> None:
        """SIGTERM or SIGKILL, a while without any control plane or agent, and up again."""
        number = signal.SIGKILL if kill else signal.SIGTERM
        await asyncio.to_thread(self._platform.end_control_plane, number)
        for load in self._loads.values():
            await load.more(200)
        await asyncio.to_thread(self._platform.up)
        await self.roll_out()

    async def kill_proxy(self) -> float:
        """SIGKILL; returns the seconds until somebody listens again."""
        return await kill_proxy(self._platform)


@pytest.mark.timeout(300 + _REQUESTS / 40)
async def test_nothing_fails_while_all_that_can_change_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_platform(tmp_path / "platform") as platform:
        platform.configure_autoscaler(stable_window="6s", scale_to_zero_grace_period="1s")
        loads = {kind: Load(platform.gateway_port, kind) for kind in _KINDS}
        operator = Operator(platform, loads)
        await operator.deploy()
        await operator.wait_ready("bound", "free")
        began, rounds = time.monotonic(), 0
        async with AsyncExitStack() as stack:
            for load in loads.values():
                await stack.enter_async_context(load.running())
            while rounds == 0 or sum(load.answers.total() for load in loads.values()) < _REQUESTS:
                await operator.round()
                rounds += 1
                with capsys.disabled():
                    _print(loads, rounds, time.monotonic() - began)
                _check(loads)
            back = await _lose_the_proxy(operator, loads)
        lost = sum(load.lost.total() for load in loads.values())
        with capsys.disabled():
            print(f"hitless: HAProxy killed, back after {back * 1000:.0f} ms, {lost} requests lost")
        _check(loads)


async def _lose_the_proxy(operator: Operator, loads: dict[Kind, Load]) -> float:
    """What it held is lost, at most one request of each client, and no count is wrong after."""
    bound = loads[_BOUND]
    bound.resize(_BOUND.clients)
    await operator.pods("bound", at_least=_MOST_PODS)
    async with AsyncExitStack() as stack:
        for load in loads.values():
            await stack.enter_async_context(load.losing())
        back = await operator.kill_proxy()
        # What was lost is noticed by then: each client asks again and again.
        for load in loads.values():
            await load.more(200)
    for load in loads.values():
        assert max(load.lost.values(), default=0) <= 1, load.lost
    # Only right counts let a service go to zero, and be served by as many pods again.
    await operator.scale(0)
    return back


def _check(loads: dict[Kind, Load]) -> None:
    for kind, load in loads.items():
        assert set(load.answers) == {"200"}, f"{kind.name}: {load.answers}"
    assert loads[_BOUND].most == 1


def _print(loads: dict[Kind, Load], rounds: int, seconds: float) -> None:
    total = sum((load.answers for load in loads.values()), Counter[str]())
    pods = sum(len(load.pods) for load in loads.values())
    print(
        f"\nhitless: {total.total()} requests in {seconds:.0f} s and {rounds} rounds over "
        f"{pods} pods, {dict(total)}"
    )
