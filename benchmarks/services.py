"""Many services on one gateway: what one more costs, and what the idle ones cost.

    python -m benchmarks.services [--services 1000 10000] [--publications 20]

Each number of services is measured in a process of its own, which holds the API and the gateway's
agent: its memory is the control plane's share of them. All services are at zero pods, each with
its Revision and its route, as they are for most of their lives. Then services with a pod are
published one by one; a further process asks for each all the while and notes the first answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from benchmarks.report import Row, print_rows
from tests.gateway.world import NAMESPACE, World, running_gateway
from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.apis.serving import REVISIONS
from tidegate.gateway.settings import GatewaySettings
from tidegate.kube.resources import ENDPOINT_SLICES

_AT_ONCE = 200
_IDLE_SECONDS = 5.0
_DEFAULT = GatewaySettings(Path())


async def measure(services: int, publications: int) -> list[Row]:
    """All figures for so many services; from half a minute to three."""
    slots = max(_DEFAULT.limited_slots, services + publications)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        started = time.monotonic()
        async with running_gateway(
            Path(directory), limited_slots=slots, unlimited_slots=_DEFAULT.unlimited_slots,
            stages=_DEFAULT.stages, threads=0,
        ) as world:  # fmt: skip
            empty = time.monotonic() - started
            return [
                Row("start of the gateway, no service", empty, "s"),
                *await _measure(world, services, publications),
            ]


async def _measure(world: World, services: int, publications: int) -> list[Row]:
    before = _memory(os.getpid()), _memory(_proxy(world))
    began = time.monotonic()
    await _fill(world, services)
    await _wait_routed(world)
    filled = time.monotonic() - began
    after = _memory(os.getpid()), _memory(_proxy(world))
    idle = await _idle(world)
    published, enabled = await _publish(world, publications)
    await world.end_agent()
    adopted = await _timed(world.start())
    await world.end_agent()
    await world.gateway.stop_proxy()
    fresh = await _timed(world.start())
    return [
        Row("memory of the control plane, no service", before[0], "MB"),
        Row(f"the same with {services:,}", after[0], "MB"),
        Row("memory of HAProxy, no service", before[1], "MB"),
        Row(f"the same with {services:,}", after[1], "MB"),
        Row("creating them, until each route has its status", filled, "s"),
        *idle,
        *_spread("a KIngress written until its host is answered", published, "under 20"),
        *_spread("a first EndpointSlice written until what was held is answered", enabled, ""),
        Row("start of the agent, HAProxy adopted", adopted, "s"),
        Row("start of agent and HAProxy", fresh, "s"),
    ]


async def _fill(world: World, services: int) -> None:
    for start in range(0, services, _AT_ONCE):
        names = [f"idle-{n:05}" for n in range(start, min(start + _AT_ONCE, services))]
        await asyncio.gather(*(world.revision(f"{name}-00001", limit=1) for name in names))
        await asyncio.gather(
            *(world.route(name, {f"{name}-00001": 100}, wait=False) for name in names)
        )


async def _wait_routed(world: World) -> None:
    """Wait until every route is served and says so, and demand has been measured once."""

    async def is_quiet() -> bool:
        listing = await world.client.list(KINGRESSES)
        watched = world.gateway._sampler._watched
        return not watched and all(obj.get("status") for obj in listing.items)

    async with asyncio.timeout(300):
        while not await is_quiet():  # noqa: ASYNC110 - many parts have to come to rest
            await asyncio.sleep(0.5)


async def _publish(world: World, number: int) -> tuple[list[float], list[float]]:
    """Milliseconds until the first answer, of a route that is new and of a pod that is."""
    routed: list[float] = []
    enabled: list[float] = []
    async with _first_answers(world.port) as first:
        for place in range(number):
            name = f"more-{place:05}"
            await world.revision(f"{name}-00001", limit=1)
            pod = await world.pod(f"{name}-00001", name)
            asked = await first(f"{name}.default.localhost")
            began = time.monotonic()
            await world.route(name, {f"{name}-00001": 100}, wait=False)
            routed.append(1000 * (await asked - began))
            await world.endpoint(f"{name}-00001", pod, gone=True)
            await world.in_rotation(f"{name}-00001", 0)
            held = await world.send(name)
            await world.demand(f"{name}-00001", held=1)
            began = time.monotonic()
            await world.endpoint(f"{name}-00001", pod)
            status = (await held.answer()).status
            assert status == 200, status
            enabled.append(1000 * (time.monotonic() - began))
            await _remove(world, name, pod.name)
    return routed, enabled


async def _remove(world: World, name: str, pod: str) -> None:
    revision = f"{name}-00001"
    await world.client.delete(KINGRESSES, name, namespace=NAMESPACE)
    await world.client.delete(REVISIONS, revision, namespace=NAMESPACE)
    await world.client.delete(ENDPOINT_SLICES, f"{revision}-{pod}", namespace=NAMESPACE)


@asynccontextmanager
async def _first_answers(port: int) -> AsyncIterator:
    """A function that begins to ask for a host; what it returns gives the time of the answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.first_answer", str(port),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    asks, answers = process.stdin, process.stdout

    async def first(host: str) -> asyncio.Task[float]:
        asks.write(host.encode() + b"\n")
        line = await answers.readline()
        assert line == b"ready\n", line
        return asyncio.create_task(read())

    async def read() -> float:
        return float(await asyncio.wait_for(answers.readline(), 30))

    try:
        yield first
    finally:
        asks.close()
        await process.wait()


async def _idle(world: World) -> list[Row]:
    """CPU of both processes while nobody asks for anything."""
    pids = os.getpid(), _proxy(world)
    before = [_cpu_seconds(pid) for pid in pids]
    await asyncio.sleep(_IDLE_SECONDS)
    used = [
        100 * (_cpu_seconds(pid) - was) / _IDLE_SECONDS
        for pid, was in zip(pids, before, strict=True)
    ]
    return [
        Row("CPU of the control plane, nobody asks", used[0], "% of a core"),
        Row("CPU of HAProxy, nobody asks", used[1], "% of a core"),
    ]


async def _timed(awaitable) -> float:
    began = time.monotonic()
    await awaitable
    return time.monotonic() - began


def _spread(what: str, milliseconds: Iterable[float], goal: str) -> list[Row]:
    found = sorted(milliseconds)
    return [
        Row(f"{what}: median of {len(found)}", statistics.median(found), "ms", goal),
        Row(f"{what}: most", found[-1], "ms"),
    ]


def _proxy(world: World) -> int:
    return world.gateway._plane.process.pid


def _memory(pid: int) -> float:
    """Resident, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None, f"process {pid} has no memory"
    return int(found[1]) / 1024


def _cpu_seconds(pid: int) -> float:
    """User and system time, proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--publications", type=int, default=20)
    options = parser.parse_args()
    if len(options.services) == 1:
        (number,) = options.services
        rows = uvloop.run(measure(number, options.publications))
        print_rows(f"{number:,} services at zero pods on one gateway", rows)
        return
    codes = [
        subprocess.run(
            [
                sys.executable, "-m", "benchmarks.services", f"--services={number}",
                f"--publications={options.publications}",
            ],
            check=False,
        ).returncode
        for number in options.services
    ]  # fmt: skip
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
