"""What goes wrong in a torture: crowds that swell and vanish, kills, updates of services and of the
gateway; drawn by a seed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from tests.e2e.platform import Platform, knative_service
from tests.e2e.proxy import kill_proxy
from tests.torture.clients import Crowd
from tests.torture.judge import TIMEOUT_SECONDS, Fault

_CROWDS = (0, 1, 3, 6, 12, 24, 40)
# The first round has each of them; later ones are drawn with these weights.
_KINDS = {"crowd": 8, "pod": 5, "revision": 3, "proxy": 1, "control plane": 1, "upgrade": 1}
# Each is another configuration of HAProxy.
_SIZES = (1000, 1001)
# Beyond the stable window and the grace period: long enough for zero pods.
QUIET_SECONDS = 9.0
MOST_CLIENTS = max(_CROWDS)


class Faults:
    """Does one thing after the other until told to end.

    Args:
        platform: the one that suffers.
        reports: directory of the pods' reports; pods are found by them.
        crowds: by service.
        limits: containerConcurrency by service.
        seed: of everything drawn.
    """

    def __init__(
        self,
        platform: Platform,
        reports: Path,
        crowds: Mapping[str, Crowd],
        limits: Mapping[str, int],
        *,
        seed: str,
    ) -> None:
        self._platform = platform
        self._reports = reports
        self._crowds = crowds
        self._limits = limits
        self._chance = random.Random(seed)
        self._versions = dict.fromkeys(limits, 1)
        self.done: list[Fault] = []
        self.proxy_back: list[float] = []
        self._sizes = cycle(_SIZES)

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        first = list(_KINDS)
        self._chance.shuffle(first)
        while time.monotonic() < end:
            drawn = self._chance.choices(list(_KINDS), list(_KINDS.values()))[0]
            await self._do(first.pop() if first else drawn)
            await asyncio.sleep(self._chance.uniform(0.2, 2.5))

    async def _do(self, kind: str) -> None:
        service = self._chance.choice(list(self._crowds))
        if kind == "crowd":
            await self._resize(service)
        elif kind == "pod":
            self._kill_pod(service)
        elif kind == "revision":
            await self._update(service)
        elif kind == "proxy":
            await self._kill_proxy()
        elif kind == "upgrade":
            self.done.append(Fault("upgrade", time.monotonic()))
            self._platform.max_revisions = next(self._sizes)
            await self._kill_control_plane()
        else:
            await self._kill_control_plane()

    async def _resize(self, service: str) -> None:
        number = self._chance.choice(_CROWDS)
        await self._crowds[service].resize(number)
        if number == 0:
            await asyncio.sleep(QUIET_SECONDS)
            await self._crowds[service].resize(self._chance.choice(_CROWDS[1:]))

    def _kill_pod(self, service: str) -> None:
        reports = [path for path in self._reports.glob(f"{service}-*") if _holds(path)]
        if not reports:
            return
        victim = self._chance.choice(sorted(reports))
        try:
            descriptor = os.pidfd_open(_pid(victim))
        except ProcessLookupError:
            # It has ended by itself since.
            return
        try:
            # Looked at again: a number that a pod had may be another program's by now.
            if _holds(victim):
                self.done.append(Fault("pod", time.monotonic(), service, victim.name))
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)

    async def _update(self, service: str) -> None:
        self._versions[service] += 1
        traffic = None
        if self._chance.random() < 0.5:
            known = await asyncio.to_thread(self._platform.get, f"ksvc/{service}")
            percent = self._chance.choice((0, 20, 50, 80))
            traffic = [
                {
                    "revisionName": known["status"]["latestReadyRevisionName"],
                    "percent": 100 - percent,
                },
                {"latestRevision": True, "percent": percent},
            ]
        self.done.append(Fault("revision", time.monotonic(), service))
        await asyncio.to_thread(self.deploy, service, traffic)

    def deploy(self, service: str, traffic: list[dict] | None = None) -> None:
        annotations = {"max-scale": "4", "target-utilization-percentage": "100"}
        manifest = knative_service(
            service,
            image="witness",
            annotations={f"autoscaling.knative.dev/{k}": v for k, v in annotations.items()},
            env={
                "REPORT_DIR": str(self._reports),
                "VERSION": str(self._versions[service]),
            },
            concurrency=self._limits[service],
            traffic=traffic,
        )
        obj = json.loads(manifest)
        obj["spec"]["template"]["spec"]["timeoutSeconds"] = TIMEOUT_SECONDS
        self._platform.apply(json.dumps(obj))

    async def _kill_proxy(self) -> None:
        fault = Fault("proxy", time.monotonic())
        self.done.append(fault)
        self.proxy_back.append(await kill_proxy(self._platform))
        self.done[self.done.index(fault)] = replace(fault, until=time.monotonic())

    async def _kill_control_plane(self) -> None:
        fault = Fault("control plane", time.monotonic())
        self.done.append(fault)
        await asyncio.to_thread(self._platform.end_control_plane)
        await asyncio.sleep(self._chance.uniform(0, 2))
        if self._chance.random() < 0.5:
            self._kill_pod(self._chance.choice(list(self._crowds)))
        await asyncio.to_thread(self._platform.up)
        self.done[self.done.index(fault)] = replace(fault, until=time.monotonic())


def _pid(report: Path) -> int:
    return int(report.name.rpartition(".")[2])


def _holds(report: Path) -> bool:
    """Whether the process that wrote this report lives: it has the file open."""
    try:
        opened = [path.readlink() for path in Path(f"/proc/{_pid(report)}/fd").iterdir()]
    except OSError:
        return False
    return report in opened
