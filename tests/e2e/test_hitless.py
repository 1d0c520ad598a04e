"""Not one request fails while everything that an operator does is done under load."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform import Platform, knative_service, running_platform

_HOST = "steady.default.localhost"
_SCALING = {
    "autoscaling.knative.dev/min-scale": "1",
    "autoscaling.knative.dev/max-scale": "10",
    "autoscaling.knative.dev/target-utilization-percentage": "100",
}


class Load:
    """Half of the clients keep their connection, half open one for each request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._busy = 4
        self._ends = False
        self.answers: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.pods: set[str] = set()

    def resize(self, number: int) -> None:
        """So many clients ask from now on, of 24."""
        self._busy = number

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup() as group:
            for place in range(24):
                group.create_task(self._client(place))
            try:
                yield
            finally:
                self._ends = True

    async def _client(self, place: int) -> None:
        connection = None
        while not self._ends:
            if place >= self._busy:
                await asyncio.sleep(0.05)
                continue
            try:
                if connection is None or connection[0].at_eof():
                    connection = await asyncio.open_connection("127.0.0.1", self._port)
                await self._ask(*connection)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.answers[type(error).__name__] += 1
                connection = None
                continue
            if place % 2:
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"GET /?work=0.03 HTTP/1.1\r\nHost: {_HOST}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.answers[head.split(" ", 2)[1]] += 1
        self.pods.add(headers.get("tidegate-pod", ""))
        self.versions[body.decode().partition('"version": "')[2].partition('"')[0]] += 1

    async def more(self, number: int, *, version: str | None = None) -> None:
        """Wait for so many more answers, of one version if it is named."""

        def count() -> int:
            return self.answers.total() if version is None else self.versions[version]

        goal = count() + number
        async with asyncio.timeout(60):
            while count() < goal:  # noqa: ASYNC110 - the count is the event
                await asyncio.sleep(0.02)


@pytest.mark.timeout(300)
async def test_nothing_fails_while_all_that_can_change_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_platform(tmp_path / "platform") as platform:
        platform.kubectl(
            "patch", "configmap/config-autoscaler", "--namespace=knative-serving", "--type=merge",
            '--patch={"data":{"stable-window":"6s","scale-to-zero-grace-period":"1s"}}',
        )  # fmt: skip
        _deploy(platform, "one")
        _wait_ready(platform, "steady")
        load = Load(platform.gateway_port)
        began = time.monotonic()
        async with load.running():
            await load.more(100)
            await _roll_out(platform, load)
            await _scale(platform, load)
            await asyncio.gather(_services_beside(platform), _move_in_steps(platform, load))
            await _restart_control_plane(platform, load)
        seconds = time.monotonic() - began
    with capsys.disabled():
        print(
            f"\nhitless: {load.answers.total()} requests in {seconds:.0f} s over "
            f"{len(load.pods)} pods, {dict(load.answers)}"
        )
    assert set(load.answers) == {"200"}, load.answers
    assert load.answers.total() > 2000


def _deploy(platform: Platform, version: str, traffic: list[dict[str, Any]] | None = None) -> None:
    platform.apply(
        knative_service(
            "steady", annotations=_SCALING, env={"VERSION": version}, traffic=traffic
        )
    )  # fmt: skip


def _wait_ready(platform: Platform, name: str) -> None:
    platform.kubectl("wait", f"ksvc/{name}", "--for=condition=Ready", "--timeout=60s")


async def _roll_out(platform: Platform, load: Load) -> None:
    """A new revision takes all traffic."""
    await asyncio.to_thread(_deploy, platform, "two")
    await load.more(200, version="two")


async def _scale(platform: Platform, load: Load) -> None:
    """1 .. 10 .. 1 .. 10 pods."""
    for _ in range(2):
        load.resize(24)
        await _pods(platform, at_least=10)
        await load.more(300)
        load.resize(1)
        await _pods(platform, at_most=1)
    load.resize(4)


async def _pods(platform: Platform, *, at_least: int = 0, at_most: int = 99) -> None:
    name = "deployment/steady-00002-deployment"
    async with asyncio.timeout(60):
        while True:
            found = await asyncio.to_thread(platform.get, name)
            if at_least <= found["status"].get("readyReplicas", 0) <= at_most:
                return
            await asyncio.sleep(0.3)


async def _services_beside(platform: Platform) -> None:
    for number in range(4):
        name = f"beside-{number}"
        await asyncio.to_thread(platform.apply, knative_service(name))
        await asyncio.to_thread(_wait_ready, platform, name)
        answer = await asyncio.to_thread(platform.request, f"{name}.default.localhost")
        assert answer.status_code == 200
        await asyncio.to_thread(platform.kubectl, "delete", f"ksvc/{name}")


async def _move_in_steps(platform: Platform, load: Load) -> None:
    """Traffic moves to a third revision by and by."""
    for percent in (0, 10, 40, 80, 100):
        traffic = [
            {"revisionName": "steady-00002", "percent": 100 - percent},
            {"latestRevision": True, "percent": percent},
        ]
        await asyncio.to_thread(_deploy, platform, "three", traffic)
        await load.more(100)
        if percent:
            await load.more(10, version="three")


async def _restart_control_plane(platform: Platform, load: Load) -> None:
    """SIGTERM, a while without any control plane, and up again."""
    await asyncio.to_thread(_terminate, platform)
    await load.more(200)
    await asyncio.to_thread(platform.up)
    await asyncio.to_thread(_deploy, platform, "four")
    await load.more(200, version="four")


def _terminate(platform: Platform) -> None:
    descriptor = os.pidfd_open(platform.pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        assert poller.poll(30_000), "the control plane does not end"
    finally:
        os.close(descriptor)
