"""What a platform without root makes of a pod that asks for much: a program of `test_unprivileged`.

Prints what the pod's program saw, as JSON.
"""

# Small files on the way of one program.

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.node.images import make_image
from tidegate.kube.clock import SystemClock
from tidegate.node.images.environments import Environments
from tidegate.node.images.store import ImageStore
from tidegate.node.runtime.contract import Launch
from tidegate.node.runtime.isolation import Identity, Isolation, Limits, Mount
from tidegate.node.runtime.process.runtime import ProcessRuntime

PROGRAM = """
import json, os, socket
def write(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "written"
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "hostname": socket.gethostname(),
    "conf": open("/etc/unprivileged/conf/a").read(),
    "read-only": write("/etc/unprivileged/conf/b"),
    "volume": write("/unprivileged/cache/x"),
    "log": write("/dev/termination-log"),
    "null": write("/dev/null"),
    "rights": [line.split()[1] for line in open("/proc/self/status") if line[:6] == "CapEff"],
}))
"""


async def main(place: Path) -> None:
    """Run one pod and say what became of it."""
    make_image(place / "source", program=PROGRAM)
    for name in ("conf", "cache"):
        (place / name).mkdir()
    (place / "conf" / "a").write_text("alpha")
    (place / "log").touch()
    store = ImageStore(place, [place / "source"], environments=Environments(place))
    image = await store.pull("web")
    runtime = ProcessRuntime(place, clock=SystemClock())
    tending = asyncio.create_task(runtime.run())
    container = await runtime.start(
        Launch(
            directory=place / "pod",
            image=image,
            argv=("python3", "main.py"),
            env={"PATH": "/usr/bin:/bin"},
            working_dir=image.rootfs,
            title="main",
            isolation=Isolation(
                mounts=(
                    Mount(place / "conf", "/etc/unprivileged/conf"),
                    Mount(place / "cache", "/unprivileged/cache", read_only=False),
                    Mount(place / "log", "/dev/termination-log", read_only=False),
                ),
                hostname="inner",
                identity=Identity(user=1234, group=1235, groups=(9,), no_new_privileges=True),
            ),
            limits=Limits(memory=256 << 20, cpu=0.5),
        )
    )
    ended = await container.wait()
    log = (place / "pod" / "log").read_text().splitlines()
    print(
        json.dumps(
            {
                "platform": os.getuid(),
                "code": ended.code,
                "failure": ended.failure,
                "saw": json.loads(log[-1].split(" ", 3)[3]) if log else None,
                "not enforced": container.not_enforced,
            }
        )
    )
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    await runtime.shutdown()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
