"""How long a client of one gateway waits for a place that is another gateway's.

    python -m benchmarks.gateways [--rounds 25] [--clients 16]

Four pods of containerConcurrency 1 get more than they can do through the platform's gateway, so
that every place is there. Then one request comes to a second gateway, in a process of its own:
what it takes longer than its work is the move of a place. The same request to the first gateway,
in the same run, waits behind the others instead.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from benchmarks.report import Row, print_rows
from tests.e2e.platform import Platform, free_ports, knative_service, running_platform
from tests.gateway.clients import fetch

_IMAGES = Path(__file__).parents[1] / "tests" / "torture" / "images"
_HOST = "moves.default.localhost"
_WORK_MS = 20
_PODS = 4
# Long enough for the place to have gone back to where the load is.
_PAUSE_SECONDS = 0.7


async def run(*, rounds: int, clients: int) -> None:
    """Measure on a platform of its own and print the table; takes about a minute."""
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory,
        running_platform(Path(directory) / "data", images=(_IMAGES,)) as platform,
    ):
        port = _start_second_gateway(platform)
        _deploy(platform, Path(directory))
        async with _load(platform.gateway_port, clients):
            moves: list[float] = []
            queues: list[float] = []
            for _ in range(rounds):
                moves.append(await _one(port))
                queues.append(await _one(platform.gateway_port))
        print_rows(
            f"A place for one request, {_PODS} pods of 1 at once with {clients} clients before"
            f" another gateway, {_WORK_MS} ms of work each",
            [
                Row("a place moves, median", statistics.median(moves), "ms", "under 100"),
                Row("the same, least", min(moves), "ms"),
                Row("the same, 90th percentile", statistics.quantiles(moves, n=10)[-1], "ms"),
                Row(
                    "waited in the queue at the busy gateway, median",
                    statistics.median(queues),
                    "ms",
                ),
            ],
        )


def _deploy(platform: Platform, directory: Path) -> None:
    reports = directory / "reports"
    reports.mkdir()
    annotations = {
        f"autoscaling.knative.dev/{key}": str(_PODS) for key in ("min-scale", "max-scale")
    }
    platform.apply(
        knative_service(
            "moves", image="witness", annotations=annotations, env={"REPORT_DIR": str(reports)}
        )
    )
    platform.kubectl("wait", "ksvc/moves", "--for=condition=Ready", "--timeout=60s")


def _start_second_gateway(platform: Platform) -> int:
    """Its port; it ends with the platform."""
    (port,) = free_ports(1)
    started = platform.tidegate("gateway", "--detach", f"--port={port}")
    if started.returncode:
        raise RuntimeError(f"the second gateway does not start: {started.stderr}")
    return port


@asynccontextmanager
async def _load(port: int, clients: int) -> AsyncGenerator[None]:
    async def client() -> None:
        while True:
            await fetch(port, _HOST, f"/work?ms={_WORK_MS}")

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


async def _one(port: int) -> float:
    """Milliseconds that one request takes longer than its work."""
    await asyncio.sleep(_PAUSE_SECONDS)
    began = time.perf_counter()
    answer = await fetch(port, _HOST, f"/work?ms={_WORK_MS}")
    if answer.status != 200:
        raise RuntimeError(f"the pod answered {answer.status}")
    return (time.perf_counter() - began) * 1000 - _WORK_MS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    uvloop.run(run(rounds=options.rounds, clients=options.clients))


if __name__ == "__main__":
    main()
