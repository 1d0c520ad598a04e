"""Tidegate beside Ray Serve (its HAProxy mode) on the same machine, in the same run.

    python -m benchmarks.peers [--seconds 5]

Ray Serve is installed into `.cache/bench/ray` the first time. Only one of the two runs at a time:
each would take the other's cores. Against nginx as a proxy, see `benchmarks.gateway`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks import ray_serve
from tests.e2e.platform import Platform, knative_service, running_platform

_ROOT = Path(__file__).parents[1]
_IMAGES = (_ROOT / "tests" / "e2e" / "images", _ROOT / "tests" / "torture" / "images")
_CONNECTIONS = 64
_BURST = 20
_ROUNDS = 3


@dataclass(frozen=True)
class Figures:
    """What both are measured by: requests/s, seconds, seconds, and requests not answered 200."""

    echo: float
    zero: float
    burst: float
    failed: int


_NAMES = {
    "echo": f"echo, one replica, {_CONNECTIONS} connections: requests/s",
    "zero": "scale from zero until the answer: s, median",
    "burst": f"{_BURST} requests of 1 s, concurrency 1, 1 to 10 replicas: s, median",
    "failed": f"failed of these {_ROUNDS + _ROUNDS * _BURST}",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("this benchmark needs wrk: install it (Debian: apt-get install wrk)")
    ours = _tidegate(options.seconds)
    try:
        python = ray_serve.install()
        with ray_serve.running(python) as ray:
            theirs = _ray(ray, options.seconds)
        name = f"Ray Serve {ray_serve.version(python)}"
    except ray_serve.UnavailableError as error:
        print(f"Ray Serve is left out, it cannot run here: {error}", file=sys.stderr)
        name, theirs = "Ray Serve", None
    _print(ours, theirs, name)


def _tidegate(seconds: int) -> Figures:
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory,
        running_platform(Path(directory) / "data", images=_IMAGES) as platform,
    ):
        platform.kubectl(
            "patch", "configmap/config-autoscaler", "--namespace=knative-serving", "--type=merge",
            '--patch={"data":{"stable-window":"6s","scale-to-zero-grace-period":"0s"}}',
        )  # fmt: skip
        reports = Path(directory) / "reports"
        reports.mkdir()
        for name, image, concurrency, least, most in (
            ("echo", "witness", 0, 1, 1),
            ("zero", "counter", 1, 0, 1),
            ("burst", "counter", 1, 1, 10),
        ):
            scaling = {"min-scale": least, "max-scale": most, "target-utilization-percentage": 100}
            platform.apply(
                knative_service(
                    name,
                    image=image,
                    concurrency=concurrency,
                    annotations={
                        f"autoscaling.knative.dev/{k}": str(v) for k, v in scaling.items()
                    },
                    env={"REPORT_DIR": str(reports)},
                )
            )
            platform.kubectl("wait", f"ksvc/{name}", "--for=condition=Ready", "--timeout=60s")
        return _measure(
            lambda name: (f"{platform.gateway}/", f"{name}.default.localhost"),
            lambda name, number: _wait_pods(platform, name, number),
            work="?work=1",
            seconds=seconds,
        )


def _wait_pods(platform: Platform, name: str, number: int) -> None:
    """As many pods as said, none of them on its way out."""
    while len(platform.get("pods", "-l", f"serving.knative.dev/service={name}")["items"]) != number:
        time.sleep(0.3)


def _ray(ray: ray_serve.RayServe, seconds: int) -> Figures:
    return _measure(
        lambda name: (f"http://127.0.0.1:{ray.port}/{name}", "localhost"),
        ray.wait_replicas,
        work="",
        seconds=seconds,
    )


def _measure(
    where: Callable[[str], tuple[str, str]],
    wait: Callable[[str, int], None],
    *,
    work: str,
    seconds: int,
) -> Figures:
    """Ask one of the two.

    Args:
        where: URL and host of a service.
        wait: until a service has so many replicas.
        work: to add to the URL for a second of work.
    """
    zero, burst, failures = [], [], list[str]()
    for _ in range(_ROUNDS):
        wait("zero", 0)
        url, host = where("zero")
        zero.append(asyncio.run(_at_once(url, host, 1, failures)))
    echo = _wrk(*where("echo"), seconds)
    for _ in range(_ROUNDS):
        wait("burst", 1)
        url, host = where("burst")
        burst.append(asyncio.run(_at_once(url + work, host, _BURST, failures)))
    return Figures(echo, statistics.median(zero), statistics.median(burst), len(failures))


async def _at_once(url: str, host: str, number: int, failures: list[str]) -> float:
    """Seconds until all of so many requests sent at once have ended; adds what failed."""
    async with httpx.AsyncClient(trust_env=False, timeout=120) as client:

        async def one() -> None:
            try:
                answer = await client.get(url, headers={"Host": host})
                answer.raise_for_status()
            except httpx.HTTPError as error:
                failures.append(str(error))

        began = time.monotonic()
        await asyncio.gather(*(one() for _ in range(number)))
        return time.monotonic() - began


def _wrk(url: str, host: str, seconds: int) -> float:
    shown = subprocess.run(
        ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {host}", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", shown)
    if rate is None or "Non-2xx" in shown:
        sys.exit(f"the load on {url} failed:\n{shown}")
    return float(rate[1])


def _print(ours: Figures, theirs: Figures | None, name: str) -> None:
    table = Table(
        title=f"Peers, {len(os.sched_getaffinity(0))} cores", title_justify="left", box=None
    )
    for column in ("measured", "Tidegate", name, "Tidegate is better by"):
        table.add_column(column, justify="left" if column == "measured" else "right")
    for field in fields(Figures):
        mine = getattr(ours, field.name)
        row = [_NAMES[field.name], _number(mine)]
        if theirs is not None:
            other = getattr(theirs, field.name)
            row.append(_number(other))
            if field.name != "failed":
                factor = mine / other if field.name == "echo" else other / mine
                row.append(f"{factor:.1f} x")
        table.add_row(*row)
    Console(highlight=False, width=120).print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or isinstance(value, int) else f"{value:.2f}"


if __name__ == "__main__":
    main()
