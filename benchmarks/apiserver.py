"""The embedded API without HTTP: acknowledged writes, lists, watches, memory.

python -m benchmarks.apiserver [--objects N] [--seconds S]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import tempfile
import time
from pathlib import Path

import orjson
import uvloop

from tests.support.api import RunningApi, running_api
from tidegate.apiserver.local import LocalClient
from tidegate.apiserver.options import ListOptions
from tidegate.apiserver.requests import RequestContext, User
from tidegate.kube.resources import CONFIG_MAPS, NAMESPACES, PODS

CLIENTS = 32
WATCHERS = 200


def pod(name: str) -> dict:
    """A pod of about 2 KB as stored."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app": "bench", "serving.knative.dev/revision": "bench-00001"},
            "annotations": {"example.com/note": name * 20},
        },
        "spec": {
            "nodeName": "tidegate",
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example.com/model:v1",
                    "env": [{"name": f"VAR_{i}", "value": f"value-{i}"} for i in range(8)],
                    "ports": [{"containerPort": 8080, "name": "http1"}],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                }
            ],
        },
    }


def resident() -> int:
    """Bytes of memory the process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def writes(api: RunningApi, seconds: float) -> float:
    """Acknowledged writes per second from 32 clients."""
    end = time.perf_counter() + seconds
    counts = [0] * CLIENTS

    async def client(number: int) -> None:
        local = api.client()
        while time.perf_counter() < end:
            counts[number] += 1
            obj = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"c{number}-{counts[number]}", "namespace": "default"},
                "data": {"text": "x" * 1000},
            }
            await local.create(CONFIG_MAPS, obj)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return sum(counts) / seconds


async def fill(api: RunningApi, count: int) -> tuple[float, int]:
    """Resident bytes per pod, and bytes of a pod as JSON."""
    before = resident()

    async def client(local: LocalClient, start: int) -> None:
        for number in range(start, count, CLIENTS):
            await local.create(PODS, pod(f"pod-{number:06d}"))

    await asyncio.gather(*(client(api.client(), start) for start in range(CLIENTS)))
    size = len(api.store.items("/pods")[0].raw)
    return (resident() - before) / count, size


async def lists(api: RunningApi) -> tuple[float, float]:
    """Seconds to list all pods as one response body: whole, and through a label selector."""
    context, spec = RequestContext(User("bench")), api.api.registry.of(PODS)
    times: list[float] = []
    for options in (ListOptions(), ListOptions(label_selector="app=bench")):
        start = time.perf_counter()
        listing = await api.api.list(context, spec, options=options)
        body = b"".join(listing.chunks(spec.resource))
        times.append(time.perf_counter() - start)
        assert body[:1] == b"{"
    assert len(orjson.loads(body)["items"]) == len(listing.items)
    return times[0], times[1]


async def watches(api: RunningApi, changes: int) -> float:
    """Events per second handed to 200 watchers, all of them seen by all."""
    context, spec = RequestContext(User("bench")), api.api.registry.of(CONFIG_MAPS)

    async def watcher() -> None:
        watch = api.api.watch(context, spec, namespace="watched")
        seen = 0
        while seen < changes:
            seen += sum(len(event.line()) > 0 for event in await watch.next())

    async def writer(number: int) -> None:
        local = api.client()
        for count in range(changes // CLIENTS):
            name = f"c{number}-{count}"
            meta = {"name": name, "namespace": "watched"}
            await local.create(CONFIG_MAPS, {"metadata": meta})

    await api.client().create(NAMESPACES, {"metadata": {"name": "watched"}})
    tasks = [asyncio.create_task(watcher()) for _ in range(WATCHERS)]
    await asyncio.sleep(0)
    start = time.perf_counter()
    await asyncio.gather(*(writer(number) for number in range(CLIENTS)), *tasks)
    return changes * WATCHERS / (time.perf_counter() - start)


async def main(objects: int, seconds: float) -> None:
    """Run and print everything."""
    with tempfile.TemporaryDirectory() as directory:
        async with running_api(Path(directory)) as api:
            per_pod, size = await fill(api, objects)
            whole, selected = await lists(api)
            print(f"bytes per stored pod of {size} bytes: {per_pod:.0f}")
            print(f"list of {objects} pods: {whole * 1e3:.1f} ms, selected {selected * 1e3:.1f} ms")
            print(f"acknowledged writes/s, {CLIENTS} clients: {await writes(api, seconds):.0f}")
            rate = await watches(api, 3200)
            print(f"watch events/s to {WATCHERS} watchers: {rate:.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    uvloop.run(main(arguments.objects, arguments.seconds))
