"""What it costs a container's start that it has volumes, limits and a user of its own.

The kinds of container are started in turn from one warm template, so that each has the same share
of whatever else the machine does; the time is from the request to the program's first line. The
fastest start is the one that nothing else delayed: the figure for what the work itself takes.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row, print_rows
from tests.node.images import make_image
from tidegate.kube.clock import SystemClock
from tidegate.node.images.environments import Environments
from tidegate.node.images.store import Image, ImageStore
from tidegate.node.runtime.contract import Launch
from tidegate.node.runtime.isolation import Identity, Isolation, Limits, Mount
from tidegate.node.runtime.process.runtime import ProcessRuntime

_ROUNDS = 40
_PROGRAM = "import time; print(time.time())"


def run() -> list[Row]:
    """Measure; takes some ten seconds."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as directory:
        took = asyncio.run(_measure(Path(directory)))
    rows: list[Row] = []
    for kind, seconds in took.items():
        rows.append(Row(f"with {kind}: fastest of {_ROUNDS}", 1000 * min(seconds), "ms"))
        rows.append(Row("  median", 1000 * statistics.median(seconds), "ms"))
    return rows


async def _measure(place: Path) -> dict[str, list[float]]:
    make_image(place / "source", program=_PROGRAM)
    store = ImageStore(place, [place / "source"], environments=Environments(place))
    image = await store.pull("web")
    runtime = ProcessRuntime(place, clock=SystemClock())
    tending = asyncio.create_task(runtime.run())
    await runtime.prepare(image)
    kinds = _kinds(place, image)
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(_ROUNDS):
        for index, (kind, (isolation, limits)) in enumerate(kinds.items()):
            directory = place / "pods" / f"{number}-{index}"
            took[kind].append(await _start(runtime, image, directory, isolation, limits))
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    await runtime.shutdown()
    return took


def _kinds(place: Path, image: Image) -> dict[str, tuple[Isolation, Limits]]:
    volume = place / "volume"
    volume.mkdir()
    for name in ("hosts", "termination-log"):
        (place / name).touch()
    usual = (
        Mount(volume, "/var/run/secrets/kubernetes.io/serviceaccount"),
        Mount(place / "hosts", "/etc/hosts"),
        Mount(volume, "/var/log", read_only=False),
        Mount(place / "termination-log", "/dev/termination-log", read_only=False),
    )
    visible = (image.rootfs, image.environment, Path(sys.base_prefix))
    plain = Isolation(mounts=usual, hostname="pod", visible=visible)
    in_etc = Isolation(mounts=(*usual, Mount(volume, "/etc/conf")), hostname="pod")
    new = Isolation(mounts=(*usual, Mount(volume, "/app/conf")), hostname="pod")
    user = Isolation(
        mounts=usual, hostname="pod", visible=visible, identity=Identity(user=4711, group=4711)
    )
    return {
        "nothing of its own": (Isolation(), Limits()),
        "what every pod has": (plain, Limits()),
        "a volume at /etc/conf": (in_etc, Limits()),
        "a volume at /app/conf, which the machine does not have": (new, Limits()),
        "another user": (user, Limits()),
        "limits of memory and CPU": (plain, Limits(memory=1 << 30, cpu=1.0)),
    }


async def _start(
    runtime: ProcessRuntime, image: Image, directory: Path, isolation: Isolation, limits: Limits
) -> float:
    asked = time.time()
    container = await runtime.start(
        Launch(
            directory=directory,
            image=image,
            argv=("python3", "main.py"),
            env={"PATH": "/usr/bin:/bin"},
            working_dir=image.rootfs,
            title="main",
            isolation=isolation,
            limits=limits,
        )
    )
    ended = await container.wait()
    if ended.code:
        raise RuntimeError(f"a container failed: {ended.failure}")
    line = await asyncio.to_thread((directory / "log").read_text, encoding="utf-8")
    return float(line.split(" ")[3]) - asked


if __name__ == "__main__":
    print_rows("The start of a container, by what it has", run())
