"""The embedded API over HTTPS on real sockets: acknowledged writes, lists, watches, memory.

The server has a process of its own, the clients have two. On a small machine they share the same
cores, so that beside each rate stands what a write costs the server in CPU time: cores divided by
it is what the server could take from clients on other machines.

python -m benchmarks.apiserver [--objects N] [--seconds S] [--changes N]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import orjson
import uvloop

from benchmarks.report import Row, print_rows
from tidegate.apiserver.assembly import ApiServerSettings, build
from tidegate.kube.clock import SystemClock

CLIENTS = 32
PROCESSES = 2
WATCHERS = 200
WRITERS = 16
# A little more than the goal, which could not be reached otherwise.
CHANGES_PER_SECOND = 1020
_LIST_ROUNDS = 7


@dataclass(frozen=True)
class Server:
    """A server in a process of its own.

    Attributes:
        port: on 127.0.0.1.
        directory: where its keys are.
        pid: of the process.
    """

    port: int
    directory: Path
    pid: int

    def cpu_seconds(self) -> float:
        """Seconds of CPU the process has used, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Bytes of memory the process holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()


@contextmanager
def running_server(directory: Path) -> Generator[Server]:
    """An API server with nothing beside it, until the context is left."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(directory, there))
    process.start()
    try:
        yield Server(here.recv(), directory, process.pid or 0)
    finally:
        here.send(None)
        process.join()


def _serve(directory: Path, pipe: Connection) -> None:
    async def serve() -> None:
        server = build(ApiServerSettings(directory, port=0), SystemClock())
        running = asyncio.create_task(server.run())
        await server.wait_ready()
        pipe.send(server.port)
        await asyncio.to_thread(pipe.recv)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    uvloop.run(serve())


class Http:
    """One connection to the server, of the administrator; no more HTTP than is needed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, server: Server) -> Http:
        pki = server.directory / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return cls(
            *await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=context, limit=64 * 1024 * 1024
            )
        )

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body."""
        code, length = await self.send(method, path, body)
        return code, await self.reader.readexactly(length)

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, int]:
        """Status, and length of the body that is to be read; 0 for one without end."""
        self._writer.write(
            b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: application/json"
            b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (method.encode(), path.encode(), len(body), body)
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        _, found, rest = head.partition(b"content-length: ")
        return int(head[9:12]), int(rest.partition(b"\r\n")[0]) if found else 0

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True)
class Load:
    """What one process of clients has done: how much, its own CPU seconds, and each latency."""

    count: int
    cpu: float
    latencies: list[float]


def pod(name: str) -> bytes:
    """A pod of about 2 KB as stored."""
    value = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
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
    return orjson.dumps(value)


def config_map(name: str, size: int) -> bytes:
    """A ConfigMap that holds `size` bytes."""
    return orjson.dumps({"metadata": {"name": name}, "data": {"text": "x" * size}})


def create_pods(server: Server, part: int, first: int, end: int) -> Load:
    """Create this process's part of the pods with these numbers."""
    names = [f"pod-{number:06d}" for number in range(first + part, end, PROCESSES)]

    async def client(http: Http, latencies: list[float]) -> None:
        while names:
            await _timed(http, "/api/v1/namespaces/default/pods", pod(names.pop()), latencies)

    return _run_clients(server, client)


def create_config_maps(server: Server, part: int, seconds: float) -> Load:
    """Create ConfigMaps of 1 KB as quickly as they are acknowledged, for some seconds."""
    end = time.monotonic() + seconds
    numbers = iter(range(1_000_000_000))

    async def client(http: Http, latencies: list[float]) -> None:
        while time.monotonic() < end:
            body = config_map(f"c-{part}-{next(numbers)}", 1000)
            await _timed(http, "/api/v1/namespaces/default/configmaps", body, latencies)

    return _run_clients(server, client)


def _run_clients(server: Server, client: Callable[[Http, list[float]], Awaitable[None]]) -> Load:
    latencies: list[float] = []

    async def run() -> float:
        connections = [await Http.connect(server) for _ in range(CLIENTS // PROCESSES)]
        before = time.process_time()
        await asyncio.gather(*(client(http, latencies) for http in connections))
        return time.process_time() - before

    cpu = uvloop.run(run())
    return Load(len(latencies), cpu, latencies)


async def _timed(http: Http, path: str, body: bytes, latencies: list[float]) -> None:
    started = time.perf_counter()
    code, answer = await http.request("POST", path, body)
    if code != 201:
        raise RuntimeError(f"{path}: {code} {answer!r}")
    latencies.append(time.perf_counter() - started)


def watch_changes(server: Server, part: int, changes: int, gate: Path) -> Load:
    """Let this process's watchers see all `changes`, each of them every one.

    Each checks that no writer's changes have a gap or come in another order.
    """
    lags: list[float] = []

    async def watcher(http: Http) -> None:
        path = "/api/v1/namespaces/watched/configmaps?watch=1"
        code, _ = await http.send("GET", path)
        assert code == 200, code
        seen = [0] * WRITERS
        rest = b""
        while sum(seen) < changes:
            chunk = await http.reader.read(1024 * 1024)
            assert chunk, f"the watch ended after {sum(seen)} of {changes} events"
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                # Between the events stand the lengths of HTTP's chunks.
                if line.startswith(b"{"):
                    _, _, name = line.partition(b'"name":"w-')
                    writer, number, sent = name[:2], name[3:10], name[11:31]
                    assert seen[int(writer)] == int(number), (seen, line)
                    seen[int(writer)] += 1
            lags.append(time.time() - int(sent) / 1e9)
        http.close()

    async def run() -> float:
        connections = [await Http.connect(server) for _ in range(WATCHERS // PROCESSES)]
        watchers = [asyncio.create_task(watcher(http)) for http in connections]
        await asyncio.sleep(1)
        gate.with_suffix(f".{part}").touch()
        before = time.process_time()
        await asyncio.gather(*watchers)
        return time.process_time() - before

    cpu = uvloop.run(run())
    return Load(changes, cpu, lags)


def change_steadily(server: Server, changes: int, gate: Path) -> Load:
    """Make `changes`, as many in a second as is asked for; the latencies are of the whole."""

    async def run() -> Load:
        connections = [await Http.connect(server) for _ in range(WRITERS)]
        code, _ = await connections[0].request(
            "POST", "/api/v1/namespaces", config_map("watched", 0)
        )
        assert code == 201, code
        await asyncio.to_thread(_pass, gate)
        started, cpu = time.monotonic(), time.process_time()

        async def writer(number: int, http: Http) -> None:
            for count, turn in enumerate(range(number, changes, WRITERS)):
                ahead = started + turn / CHANGES_PER_SECOND - time.monotonic()
                if ahead > 0:
                    await asyncio.sleep(ahead)
                name = f"w-{number:02d}-{count:07d}-{time.time_ns():020d}"
                path = "/api/v1/namespaces/watched/configmaps"
                code, answer = await http.request("POST", path, config_map(name, 0))
                assert code == 201, answer

        await asyncio.gather(*(writer(n, http) for n, http in enumerate(connections)))
        return Load(changes, time.process_time() - cpu, [time.monotonic() - started])

    return uvloop.run(run())


def _pass(gate: Path) -> None:
    """Open the gate for the watchers, and wait until they watch."""
    gate.touch()
    while not all(gate.with_suffix(f".{part}").exists() for part in range(PROCESSES)):
        time.sleep(0.01)


async def list_pods(server: Server, count: int, path: str) -> float:
    """Median seconds until a list of all pods is here, whole."""
    http = await Http.connect(server)
    times: list[float] = []
    for _ in range(_LIST_ROUNDS):
        started = time.perf_counter()
        code, body = await http.request("GET", path)
        times.append(time.perf_counter() - started)
        assert code == 200
        assert body.count(b'"uid":') == count, "the list is not whole"
    http.close()
    return statistics.median(times)


def measure_objects(server: Server, pool: ProcessPoolExecutor, objects: int) -> list[Row]:
    """Memory and lists, with `objects` pods."""
    empty = server.resident()
    first = objects // 5
    _gather(pool, create_pods, server, 0, first)
    some = server.resident()
    _gather(pool, create_pods, server, first, objects)
    full = server.resident()
    path = "/api/v1/pods"
    whole = uvloop.run(list_pods(server, objects, path))
    selected = uvloop.run(list_pods(server, objects, f"{path}?labelSelector=app%3Dbench"))
    return [
        Row("memory per stored pod of 2 KB", (full - empty) / objects / 1000, "KB", "< 6"),
        Row("the same, without the first fifth", (full - some) / (objects - first) / 1000, "KB"),
        Row(f"list of {objects:,} pods", whole * 1e3, "ms", "<= 150"),
        Row(f"list of {objects:,} pods by a label", selected * 1e3, "ms"),
    ]


def measure_writes(server: Server, pool: ProcessPoolExecutor, seconds: float) -> list[Row]:
    """Acknowledged writes; all clients together."""
    cpu = server.cpu_seconds()
    loads = _gather(pool, create_config_maps, server, seconds)
    cpu = server.cpu_seconds() - cpu
    count = sum(load.count for load in loads)
    latencies = sorted(latency for load in loads for latency in load.latencies)
    return [
        Row(f"acknowledged writes/s, {CLIENTS} clients", count / seconds, "writes/s", ">= 2,000"),
        Row("the server's CPU per write", cpu / count * 1e6, "µs"),
        Row("the clients' CPU per write", sum(x.cpu for x in loads) / count * 1e6, "µs"),
        Row("latency of a write, median", statistics.median(latencies) * 1e3, "ms"),
        Row("latency of a write, 99th", latencies[len(latencies) * 99 // 100] * 1e3, "ms"),
    ]


def measure_watches(server: Server, pool: ProcessPoolExecutor, changes: int) -> list[Row]:
    """Watchers that each see every change."""
    gate = server.directory / "gate"
    cpu = server.cpu_seconds()
    writing = pool.submit(change_steadily, server, changes, gate)
    while not gate.exists():
        time.sleep(0.01)
    loads = _gather(pool, watch_changes, server, changes, gate)
    cpu = server.cpu_seconds() - cpu
    seconds = writing.result().latencies[0]
    lags = sorted(lag for load in loads for lag in load.latencies)
    return [
        Row(f"changes/s seen by each of {WATCHERS} watchers", changes / seconds, "", ">= 1,000"),
        Row("events lost, of all watchers together", 0, "", "0"),
        Row("from request to watcher, median", statistics.median(lags) * 1e3, "ms"),
        Row("from request to watcher, 99th", lags[len(lags) * 99 // 100] * 1e3, "ms"),
        Row("the server's CPU per change", cpu / changes * 1e6, "µs"),
        Row("the watchers' CPU per change", sum(x.cpu for x in loads) / changes * 1e6, "µs"),
    ]


def _gather(pool: ProcessPoolExecutor, work: Callable[..., Load], *arguments: object) -> list[Load]:
    """Let every process of clients do its part."""
    server, *others = arguments
    futures = [pool.submit(work, server, part, *others) for part in range(PROCESSES)]
    return [future.result() for future in futures]


def main(objects: int, seconds: float, changes: int) -> None:
    """Run and print everything."""
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as directory,
        running_server(Path(directory)) as server,
        ProcessPoolExecutor(PROCESSES + 1, mp_context=spawn) as pool,
    ):
        rows = measure_objects(server, pool, objects)
        rows += measure_writes(server, pool, seconds)
        rows += measure_watches(server, pool, changes)
    load = os.getloadavg()[0]
    print_rows(f"The API over HTTPS, {os.cpu_count()} cores, load {load:.1f}", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--changes", type=int, default=10_000)
    arguments = parser.parse_args()
    main(arguments.objects, arguments.seconds, arguments.changes)
