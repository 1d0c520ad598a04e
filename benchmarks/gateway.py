"""Requests per second through the gateway, against static HAProxy and nginx in front of the same.

    python -m benchmarks.gateway [--seconds 2] [--rounds 7] [--connections 64]

The load is `wrk`'s (installed with apt when it is missing and we may); the pods are one HAProxy
that answers by itself; nginx is left out where there is none. Cases take turns, so that a busy
machine is equally bad for all; the table has medians, and the ratios are medians of the ratios
within a round. CPU is what the proxy takes of it per request, user and system: unlike requests
per second it depends little on what else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.haproxy import binary
from tidegate.gateway.model import HostRoute, PodServer, Revision, Split
from tidegate.gateway.routes import entries
from tidegate.gateway.settings import GatewaySettings
from tidegate.kube.clock import SystemClock
from tidegate.kube.objects import Key

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_COMMON = """
global
    maxconn 4000
    nbthread {threads}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""
# What a proxy says of a request to the pods and to its log in most places, as the gateway does.
_USUAL_RULES = """
    log ring@access format raw local0
    log-format "%f %s %ST %ts %Tw %Tr %Ta %B %U %HM %HP %ID"
    unique-id-format %[uuid]
    unique-id-header X-Request-Id
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request add-header Forwarded 'for="%[src]";proto=http;host="%[req.hdr(host)]"'
"""
# Each request passes it twice, as those of a revision with a containerConcurrency pass the gateway.
_TWO_STAGES = """
    use_backend first
backend first
    http-reuse always
    server stage abns@{stage}
frontend stage
    bind abns@{stage}
"""
_RING = "ring access\n    format raw\n    maxlen 2048\n    size 4194304\n"
_NGINX = """
worker_processes {threads};
daemon off;
pid {directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 2000; }}
http {{
    access_log {log};
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream pods {{
{servers}
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000000;
        location / {{
            proxy_pass http://pods;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
{headers}
        }}
    }}
}}
"""
_NGINX_HEADERS = """
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Forwarded "for=\\"$remote_addr\\";proto=$scheme;host=\\"$http_host\\"";
"""
_PODS = 4


@dataclass(frozen=True)
class Case:
    """One line of the table: where the load goes, and the process that takes it."""

    name: str
    port: int
    host: str
    pid: int


@dataclass(frozen=True)
class Result:
    """Requests per second, microseconds of CPU per request, and latencies in milliseconds."""

    rate: float
    cpu: float
    p50: float
    p99: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="of the gateway's HAProxy")
    options = parser.parse_args()
    wrk = _wrk()
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as directory:
        pods = [_free_port() for _ in range(_PODS)]
        static, usual, stages, half, nginx, usual_nginx = (_free_port() for _ in range(6))
        with (
            _haproxy(Path(directory) / "pods.cfg", _pods_config(pods)) as pods_pid,
            _haproxy(
                Path(directory) / "static.cfg", _static_config(static, pods, threads)
            ) as static_pid,
            _haproxy(
                Path(directory) / "usual.cfg", _static_config(usual, pods, threads, kind="usual")
            ) as usual_pid,
            _haproxy(
                Path(directory) / "stages.cfg", _static_config(stages, pods, threads, kind="stages")
            ) as stages_pid,
            _haproxy(
                Path(directory) / "half.cfg",
                _static_config(half, pods, max(threads // 2, 1), kind="stages"),
            ) as half_pid,
            _nginx(Path(directory) / "nginx", nginx, pods, threads) as nginx_pid,
            _nginx(
                Path(directory) / "usual-nginx", usual_nginx, pods, threads, usual=True
            ) as usual_nginx_pid,
        ):
            references = [
                Case("pods, without a proxy", pods[0], "localhost", pods_pid),
                Case("static HAProxy", static, "localhost", static_pid),
                Case("static HAProxy, headers and log", usual, "localhost", usual_pid),
                Case("static HAProxy, two stages", stages, "localhost", stages_pid),
                # As many threads as the gateway has.
                Case("the same on half of the cores", half, "localhost", half_pid),
            ]
            if nginx_pid:
                references += [
                    Case("nginx", nginx, "localhost", nginx_pid),
                    Case("nginx, headers and log", usual_nginx, "localhost", usual_nginx_pid),
                ]
            asyncio.run(_through_gateway(Path(directory), pods, references, wrk, options))


async def _through_gateway(
    directory: Path, pods: list[int], references: list[Case], wrk: str, options: argparse.Namespace
) -> None:
    settings = GatewaySettings(data_dir=directory, port=_free_port(), threads=options.threads)
    plane = DataPlane(settings, SystemClock())
    await plane.open()
    try:
        share = max(options.connections // _PODS, 1)
        limits = {"unlimited": 0, "limited": share, "crowded": 1}
        routes: list[HostRoute] = []
        for name, limit in limits.items():
            _publish(plane, name, limit, pods)
            splits = (Split(Key("bench", name), 100),)
            routes.append(HostRoute(f"{name}.localhost", "", splits))
        split = (Split(Key("bench", "unlimited"), 90), Split(Key("bench", "limited"), 10))
        routes.append(HostRoute("split.localhost", "", split))
        plane.set_routes({}, entries(routes, plane.slots.of, name="bench"))
        await plane.flush()
        hosts = {
            "gateway, no limit": "unlimited.localhost",
            "gateway, 90/10 split": "split.localhost",
            f"gateway, {_PODS} pods of concurrency {share}": "limited.localhost",
            f"gateway, {_PODS} pods of 1 at once": "crowded.localhost",
        }
        cases = references + [
            Case(name, settings.port, host, plane.process.pid) for name, host in hosts.items()
        ]
        rounds = [
            [await asyncio.to_thread(_load, wrk, case, options) for case in cases]
            for _ in range(options.rounds)
        ]
        _print(cases, rounds, await _memory(plane))
        host = hosts["gateway, no limit"]
        case = Case("gateway, no limit", settings.port, host, plane.process.pid)
        await asyncio.to_thread(_read_records, wrk, case, options, plane.paths.records_socket)
    finally:
        await plane.stop()


def _read_records(wrk: str, case: Case, options: argparse.Namespace, path: Path) -> None:
    """Print what the records of a load cost a process that does nothing but read them."""
    command = [sys.executable, "-m", "benchmarks.reader", path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        asks, answers = reader.stdin, reader.stdout
        if asks is None or answers is None:
            sys.exit("the reader of records has no pipes")

        def count() -> int:
            asks.write("\n")
            asks.flush()
            return int(answers.readline())

        answers.readline()
        while not count():
            # HAProxy looks for a reader every second.
            _load(wrk, case, argparse.Namespace(seconds=1, connections=1))
        costs: list[float] = []
        for _ in range(options.rounds):
            before, used = count(), _cpu_seconds(reader.pid)
            _load(wrk, case, options)
            costs.append((_cpu_seconds(reader.pid) - used) * 1e6 / (count() - before))
        asks.close()
    cost = statistics.median(costs)
    print(
        f"reading an access record takes {cost:.1f} us of CPU: at 10,000 requests/s "
        f"{cost / 100:.2f} of a core (goal: less than 0.2)"
    )


def _publish(plane: DataPlane, name: str, limit: int, pods: list[int]) -> None:
    revision = Revision(Key("bench", name), limit, start_ms=300_000, idle_ms=0, max_queued=10_000)
    plane.place(revision)
    servers = [PodServer(f"pod-{n}", "127.0.0.1", port, True) for n, port in enumerate(pods)]
    plane.set_servers(revision, {server.pod: server for server in servers})


def _load(wrk: str, case: Case, options: argparse.Namespace) -> Result:
    command = [wrk, "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "--latency"]
    command += ["-H", f"Host: {case.host}", f"http://127.0.0.1:{case.port}/"]
    before = _cpu_seconds(case.pid)
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = _cpu_seconds(case.pid) - before
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", shown)
    if errors:
        sys.exit(f"{case.name}: {errors[1]} requests failed")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", shown)
    total = re.search(r"(\d+) requests in", shown)
    found = dict(re.findall(r"(50|99)%\s+([\d.]+(?:us|ms|s))", shown))
    if rate is None or total is None or len(found) != 2:
        sys.exit(f"wrk said what cannot be read:\n{shown}")
    p50, p99 = _milliseconds(found["50"]), _milliseconds(found["99"])
    return Result(float(rate[1]), used * 1e6 / int(total[1]), p50, p99)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children (nginx has workers)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for process in (str(pid), *children):
        # utime and stime, proc_pid_stat(5); the name that stands before them may have spaces.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _print(cases: list[Case], rounds: list[list[Result]], memory: str) -> None:
    table = Table(title=f"median of {len(rounds)} rounds; HAProxy of the gateway: {memory}")
    peers = [
        number for number, case in enumerate(cases) if case.name in ("static HAProxy", "nginx")
    ]
    names = [f"of {cases[peer].name}" for peer in peers]
    for column in ("", "requests/s", *names, "CPU us", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right" if column else "left")
    for number, case in enumerate(cases):
        results = [results[number] for results in rounds]
        ratios = [
            statistics.median(results[number].rate / results[peer].rate for results in rounds)
            for peer in peers
        ]
        table.add_row(
            case.name,
            f"{statistics.median(result.rate for result in results):,.0f}",
            *(f"{ratio:.2f}" for ratio in ratios),
            f"{statistics.median(result.cpu for result in results):.1f}",
            f"{statistics.median(result.p50 for result in results):.2f}",
            f"{statistics.median(result.p99 for result in results):.2f}",
        )
    Console().print(table)


async def _memory(plane: DataPlane) -> str:
    status = await asyncio.to_thread(Path(f"/proc/{plane.process.pid}/status").read_text)
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    return f"{int(resident[1]) // 1024} MB" if resident else "memory unknown"


def _pods_config(ports: list[int]) -> str:
    binds = "\n".join(f"    bind 127.0.0.1:{port}" for port in ports)
    answer = '    http-request return status 200 content-type text/plain string "ok"'
    return _COMMON.format(threads=1) + f"frontend pods\n{binds}\n{answer}\n"


def _static_config(port: int, pods: list[int], threads: int, *, kind: str = "bare") -> str:
    """A HAProxy that stands still: `bare`, with the `usual` rules, or in two `stages`."""
    stages = _TWO_STAGES.format(stage=f"tidegate-bench-{port}")
    rules = {"bare": "", "usual": _USUAL_RULES, "stages": stages}[kind]
    servers = "\n".join(
        f"    server pod{number} 127.0.0.1:{pod}" for number, pod in enumerate(pods)
    )
    return (
        _COMMON.format(threads=threads)
        + (_RING if kind == "usual" else "")
        + f"frontend http\n    bind 127.0.0.1:{port}\n{rules}    default_backend pods\n"
        + f"backend pods\n{servers}\n"
    )


@contextmanager
def _nginx(
    directory: Path, port: int, pods: list[int], threads: int, *, usual: bool = False
) -> Iterator[int]:
    """nginx as a proxy before the pods, bare or with what most have.

    Yields its process number, 0 where there is none.
    """
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        if not usual:
            print("nginx is left out: it is not installed (Debian: apt-get install nginx-light)")
        yield 0
        return
    directory.mkdir()
    path = directory / "nginx.conf"
    servers = "\n".join(f"        server 127.0.0.1:{pod};" for pod in pods)
    path.write_text(
        _NGINX.format(
            threads=threads,
            directory=directory,
            servers=servers,
            port=port,
            log=directory / "access.log" if usual else "off",
            headers=_NGINX_HEADERS if usual else "",
        )
    )
    process = subprocess.Popen([program, "-p", directory, "-c", path], stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _haproxy(path: Path, config: str) -> Iterator[int]:
    path.write_text(config)
    process = subprocess.Popen([binary.find(), "-db", "-f", path], stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _wrk() -> str:
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], check=False)
        found = shutil.which("wrk")
    if found is None:
        sys.exit("this benchmark needs wrk: install it (Debian: apt-get install wrk)")
    return found


def _milliseconds(text: str) -> float:
    number = text.rstrip("mus")
    return float(number) * _UNITS[text[len(number) :]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
