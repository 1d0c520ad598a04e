"""What a user of the platform waits for: start, deployment, the first answer, a burst.

Every figure comes with what the machine itself needs at least, measured in the same run: the
pod's own start and the seconds of work asked for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.report import Row, print_rows
from tests.e2e.platform import IMAGES, Platform, free_ports, knative_service
from tidegate.gateway.haproxy import paths

_BURST = 20
_PODS = 10
_WORK_SECONDS = 1.0
_ROUNDS = 5


def run() -> list[Row]:
    """Measure on a platform of its own; takes about a minute."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        platform = Platform(Path(directory) / "data", *free_ports(3), images=(IMAGES,))
        rows = [_start(platform)]
        try:
            _quick_zero(platform)
            rows += [_deployment(platform), *_from_zero(platform), *_burst(platform)]
            rows.append(_proxy_back(platform))
        finally:
            platform.down()
    return rows


def _start(platform: Platform) -> Row:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.cli.main", "up", "--detach", *platform.up_options()],
        env={**os.environ, "TIDEGATE_HOME": str(platform.data_dir)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    ready = None
    for line in process.stderr:
        if ready is None and "API" in line:
            ready = time.monotonic() - began
    if process.wait() or ready is None:
        raise RuntimeError("the platform did not start")
    return Row("`up` until the API answers", ready, "s", goal="at most 2")


def _quick_zero(platform: Platform) -> None:
    platform.kubectl(
        "patch", "configmap/config-autoscaler", "--namespace=knative-serving", "--type=merge",
        '--patch={"data":{"stable-window":"6s","scale-to-zero-grace-period":"0s"}}',
    )  # fmt: skip


def _deployment(platform: Platform) -> Row:
    began = time.monotonic()
    platform.apply(knative_service("first"))
    platform.kubectl("wait", "ksvc/first", "--for=condition=Ready", "--timeout=60s")
    return Row("`kubectl apply` until Ready", time.monotonic() - began, "s")


def _own_start_seconds(count: int = 1) -> float:
    """Seconds until `count` of the test image's programs, started at once, listen.

    Without Tidegate: this is what the machine itself needs for them.
    """
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, str(IMAGES / "counter" / "counter.py")],
            env={**os.environ, "PORT": str(port)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for port in free_ports(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert "ready" in process.stdout.readline()
        return time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _wait_for_zero(platform: Platform, name: str) -> None:
    platform.kubectl(
        "wait", "--for=delete", "pods", "-l", f"serving.knative.dev/service={name}",
        "--timeout=60s",
    )  # fmt: skip


def _from_zero(platform: Platform) -> list[Row]:
    own = statistics.median(_own_start_seconds() for _ in range(_ROUNDS))
    waits = []
    for _ in range(_ROUNDS):
        _wait_for_zero(platform, "first")
        began = time.monotonic()
        answer = platform.request("first.default.localhost", "/?work=0")
        waits.append(time.monotonic() - began)
        answer.raise_for_status()
    whole = statistics.median(waits)
    return [
        Row("the pod's own start, without Tidegate", own, "s"),
        Row("request at zero pods until its answer", whole, "s"),
        Row("the same less the pod's own start", whole - own, "s"),
    ]


def _proxy_back(platform: Platform) -> Row:
    """After `kill -9` of HAProxy, until the gateway answers a request for a warm pod again."""
    took = []
    for _ in range(_ROUNDS):
        platform.request("first.default.localhost", "/?work=0").raise_for_status()
        began = time.monotonic()
        os.kill(_proxy_pid(platform), signal.SIGKILL)
        while not _answers(platform):
            time.sleep(0.005)
        took.append(time.monotonic() - began)
    return Row("HAProxy killed until it answers again", statistics.median(took), "s", goal="1")


def _proxy_pid(platform: Platform) -> int:
    return int(paths.prepare(platform.data_dir).pid_file.read_text().split()[0])


def _answers(platform: Platform) -> bool:
    try:
        return platform.request("first.default.localhost", "/?work=0").is_success
    except httpx.TransportError:
        return False


def _burst(platform: Platform) -> list[Row]:
    annotations = {
        "autoscaling.knative.dev/max-scale": str(_PODS),
        "autoscaling.knative.dev/target-utilization-percentage": "100",
    }
    platform.apply(knative_service("burst", annotations=annotations))
    platform.kubectl("wait", "ksvc/burst", "--for=condition=Ready", "--timeout=60s")
    took, most = [], 0
    for _ in range(3):
        _wait_for_zero(platform, "burst")
        seconds, held = asyncio.run(_send_burst(platform))
        took.append(seconds)
        most = max(most, held)
    own = statistics.median(_own_start_seconds(_PODS) for _ in range(_ROUNDS))
    return [
        Row(f"start of {_PODS} such programs at once, without Tidegate", own, "s"),
        Row(
            f"{_BURST} requests of {_WORK_SECONDS:.0f} s at concurrency 1, 0 to {_PODS} pods",
            statistics.median(took),
            "s",
            goal=f"their start + 2.1 = {own + 2.1:.2f}",
        ),
        Row("most requests at once in one pod meanwhile", most, "", goal="1"),
    ]


async def _send_burst(platform: Platform) -> tuple[float, int]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:

        async def one() -> int:
            answer = await client.get(
                f"{platform.gateway}/?work={_WORK_SECONDS}",
                headers={"Host": "burst.default.localhost"},
            )
            answer.raise_for_status()
            return answer.json()["most"]

        began = time.monotonic()
        held = await asyncio.gather(*(one() for _ in range(_BURST)))
        return time.monotonic() - began, max(held)


if __name__ == "__main__":
    print_rows("The platform, as its user sees it", run())
