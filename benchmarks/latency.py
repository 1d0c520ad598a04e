"""What the platform adds to a request: warm, in a roll-out, from zero, and until it scales.

    python -m benchmarks.latency [--seconds 15] [--rate 1000]

The loads and limits are those of Knative's own performance tests (dataplane probe, rollout
probe, scale from zero) where two cores carry them. What the platform adds is measured against the
same pod asked without it, and against as many programs started without it, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from benchmarks.openloop import Latencies, OpenLoop
from benchmarks.report import Row, print_rows
from tests.e2e.platform import Platform, free_ports, knative_service, running_platform
from tidegate.kube.client import Client, WatchEvent
from tidegate.kube.remote import connect
from tidegate.kube.resources import DEPLOYMENTS

_IMAGES = Path(__file__).parents[1] / "tests" / "torture" / "images"
_WORK = "/work?ms=100"
_PODS = 4
_LADDER = 9


async def run(*, rate: int, seconds: int) -> None:
    """Measure on a platform of its own and print each table; takes about three minutes."""
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory,
        running_platform(Path(directory) / "data", images=(_IMAGES,)) as platform,
    ):
        bench = _Bench(platform, Path(directory), rate, seconds)
        work = "100 ms of work each"
        print_rows(f"{rate} requests/s, open loop, {work}", await bench.dataplane())
        print_rows("From a request beyond capacity to the new scale", await bench.reaction())
        print_rows("From zero, the program's own start included", await bench.from_zero())


class _Bench:
    def __init__(self, platform: Platform, directory: Path, rate: int, seconds: int) -> None:
        self._platform = platform
        self._reports = directory / "reports"
        self._reports.mkdir()
        self._rate = rate
        self._seconds = seconds
        platform.kubectl(
            "patch", "configmap/config-autoscaler", "--namespace=knative-serving", "--type=merge",
            '--patch={"data":{"stable-window":"6s","scale-to-zero-grace-period":"0s"}}',
        )  # fmt: skip

    def _deploy(self, name: str, *, concurrency: int, version: str = "1", **scaling: int) -> None:
        annotations = {
            f"autoscaling.knative.dev/{key.replace('_', '-')}": str(value)
            for key, value in {"target_utilization_percentage": 100, **scaling}.items()
        }
        self._platform.apply(
            knative_service(
                name,
                image="witness",
                annotations=annotations,
                concurrency=concurrency,
                env={"REPORT_DIR": str(self._reports), "VERSION": version},
            )
        )

    def _wait_ready(self, *names: str) -> None:
        services = [f"ksvc/{name}" for name in names]
        self._platform.kubectl(
            "wait", *services, "--for=condition=Ready", "--timeout=120s", timeout=130
        )

    def _wait_for_zero(self, name: str) -> None:
        self._platform.kubectl(
            "wait", "--for=delete", "pods", "-l", f"serving.knative.dev/service={name}",
            "--timeout=60s", timeout=70,
        )  # fmt: skip

    async def dataplane(self) -> list[Row]:
        share = self._rate // 10 // _PODS * 2
        self._deploy("free", concurrency=0, min_scale=_PODS, max_scale=_PODS)
        self._deploy("bound", concurrency=share, min_scale=_PODS, max_scale=_PODS)
        self._wait_ready("free", "bound")
        pods = self._platform.get("pods", "-l", "serving.knative.dev/service=free")["items"]
        ports = json.loads(pods[0]["metadata"]["annotations"]["tidegate.dev/ports"])
        # One pod carries a quarter of the load, asked by itself as through the gateway.
        direct = await self._ask(next(iter(ports.values())), "free", self._rate // _PODS)
        free = await self._ask(self._platform.gateway_port, "free", self._rate)
        bound = await self._ask(self._platform.gateway_port, "bound", self._rate)
        rolling = await self._roll_out()
        for name in ("free", "bound"):
            self._platform.kubectl("delete", f"ksvc/{name}")
        base = direct.milliseconds(50)
        return [
            *_percentiles(f"one pod without the gateway, {self._rate // _PODS}/s", direct),
            *_percentiles("no limit of concurrency", free, goal="105"),
            Row("added at the median", free.milliseconds(50) - base, "ms"),
            *_percentiles(f"{_PODS} pods of concurrency {share}", bound, goal="110"),
            Row("added at the median", bound.milliseconds(50) - base, "ms"),
            *_percentiles("the latter, two roll-outs meanwhile", rolling, goal="110"),
            Row("failed in the roll-outs", len(rolling.failed), goal="0"),
        ]

    async def _ask(self, port: int, service: str, rate: int) -> Latencies:
        loop = OpenLoop(port, f"{service}.default.localhost", _WORK)
        await loop.run(rate=rate, seconds=1)
        return await loop.run(rate=rate, seconds=self._seconds)

    async def _roll_out(self) -> Latencies:
        async with asyncio.TaskGroup() as group:
            load = group.create_task(
                OpenLoop(
                    self._platform.gateway_port, "bound.default.localhost", _WORK
                ).run(rate=self._rate, seconds=self._seconds)
            )  # fmt: skip
            share = self._rate // 10 // _PODS * 2
            for version in ("2", "3"):
                await asyncio.sleep(self._seconds / 5)
                await asyncio.to_thread(
                    self._deploy, "bound", concurrency=share, version=version,
                    min_scale=_PODS, max_scale=_PODS,
                )  # fmt: skip
        return load.result()

    async def from_zero(self) -> list[Row]:
        rows: list[Row] = []
        names = [f"zero-{number}" for number in range(25)]
        for name in names:
            self._deploy(name, concurrency=1)
        self._wait_ready(*names)
        for number, goal in ((1, ""), (5, ""), (25, "P95 2 s, most 5 s (Knative's)")):
            rounds = 5 if number < 25 else 2
            waits: list[float] = []
            own: list[float] = []
            for _ in range(rounds):
                for name in names[:number]:
                    await asyncio.to_thread(self._wait_for_zero, name)
                waits += await asyncio.gather(*(self._first(name) for name in names[:number]))
                own += await asyncio.to_thread(self._own_starts, number)
            found = Latencies(waits)
            what = f"{number} at once" if number > 1 else "one service"
            rows += [
                Row(f"{what}: programs started without Tidegate, median", _median(own), "s"),
                Row(f"{what}: median", _median(waits), "s"),
                Row(f"{what}: P95", found.milliseconds(95) / 1000, "s", goal),
                Row(f"{what}: most", max(waits), "s"),
            ]
        for name in names:
            self._platform.kubectl("delete", f"ksvc/{name}", "--wait=false")
        return rows

    async def _first(self, name: str) -> float:
        loop = OpenLoop(self._platform.gateway_port, f"{name}.default.localhost", "/work?ms=0")
        found = await loop.run(rate=1, seconds=1)
        if found.failed:
            raise RuntimeError(f"{name}: {found.failed}")
        return found.seconds[0]

    def _own_starts(self, number: int) -> list[float]:
        """Seconds until each of so many programs, started at once, listens."""
        began = time.monotonic()
        processes = [
            subprocess.Popen(
                [sys.executable, str(_IMAGES / "witness" / "witness.py")],
                env={
                    **os.environ,
                    "PORT": str(port),
                    "HOSTNAME": f"own-{port}",
                    "REPORT_DIR": str(self._reports),
                },
                stdout=subprocess.PIPE,
            )
            for port in free_ports(number)
        ]
        seconds = []
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
            seconds.append(time.monotonic() - began)
        for process in processes:
            process.kill()
            process.wait()
        return seconds

    async def reaction(self) -> list[Row]:
        self._deploy("react", concurrency=1, min_scale=1, max_scale=_LADDER + 1)
        self._wait_ready("react")
        found: list[float] = []
        async with connect(self._platform.data_dir / "kubeconfig") as client:
            for _ in range(2):
                found += await self._climb(client)
        return [
            Row("median", 1000 * _median(found), "ms", goal="under 20"),
            Row("least", 1000 * min(found), "ms"),
            Row("most", 1000 * max(found), "ms"),
            Row("measured", len(found)),
        ]

    async def _climb(self, client: Client) -> list[float]:
        """Ask one request more than there are pods, again and again; read the scale."""
        name = "react-00001-deployment"
        found: list[float] = []
        held: list[asyncio.StreamWriter] = [await self._hold()]
        while True:
            deployment = await client.get(DEPLOYMENTS, name, namespace="default")
            if deployment["spec"]["replicas"] == 1 and deployment["status"]["readyReplicas"] == 1:
                break
            await asyncio.sleep(0.5)
        version = deployment["metadata"]["resourceVersion"]
        async with client.watch(
            DEPLOYMENTS, namespace="default", resource_version=version,
            field_selector=f"metadata.name={name}",
        ) as events:  # fmt: skip
            for pods in range(2, _LADDER + 2):
                began = time.perf_counter()
                held.append(await self._hold())
                # Read, not watched: the API gathers what it tells remote watchers for 30 ms.
                while (await client.get(DEPLOYMENTS, name, namespace="default"))["spec"][
                    "replicas"
                ] != pods:
                    pass
                found.append(time.perf_counter() - began)
                await _until(events, "status", "readyReplicas", pods)
        for writer in held:
            writer.close()
        return found

    async def _hold(self) -> asyncio.StreamWriter:
        """A request that keeps its pod busy for long enough."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._platform.gateway_port)
        writer.write(
            b"GET /work?ms=15000 HTTP/1.1\r\nHost: react.default.localhost\r\n"
            b"X-Request-Id: hold-%d\r\n\r\n" % id(writer)
        )
        return writer


async def _until(events: AsyncIterator[WatchEvent], part: str, field: str, value: int) -> None:
    async for event in events:
        if event.object.get(part, {}).get(field) == value:
            return
    raise RuntimeError("the watch ended")


def _percentiles(what: str, found: Latencies, *, goal: str = "") -> list[Row]:
    return [
        Row(f"{what}: median", found.milliseconds(50), "ms"),
        Row(f"{what}: P95", found.milliseconds(95), "ms", f"at most {goal}" if goal else ""),
        Row(f"{what}: P99", found.milliseconds(99), "ms"),
    ]


def _median(values: list[float]) -> float:
    return statistics.median(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args()
    uvloop.run(run(rate=options.rate, seconds=options.seconds))


if __name__ == "__main__":
    main()
