"""How long the small model's server takes to come up, and to draw a picture, on one core.

Wall times depend on what else the machine does; processor times hardly do, so the goals (up within
1 s, a picture within 2 s at default settings) are held against those, and against the wall times of
a machine at rest. As a measure of the machine, the start is also given as a ratio to a bare
Python that imports the same libraries, in the same run. Prints one line of JSON, times in seconds;
ends with 1 if a goal is missed by processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

IMAGE = Path(__file__).parent.parent
UP_GOAL, PICTURE_GOAL = 1.0, 2.0


def environment() -> dict[str, str]:
    manifest = tomllib.loads((IMAGE / "image.toml").read_text())
    return {**os.environ, **manifest["env"]}


def processor_of(pid: int) -> float:
    """Processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bare() -> tuple[float, float]:
    """Wall and processor time of a Python that only imports what the server does."""
    manifest = tomllib.loads((IMAGE / "image.toml").read_text())
    script = ";".join(f"import {name}" for name in manifest["preload"])
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-c", script], env=environment(), cwd=IMAGE, check=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Server:
    """The server as a process, from its start to its first 200."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        flags = ["--skip-torch-cuda-test", "--api", "--loglevel", "warning"]
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "launch.py", *flags],
            cwd=IMAGE,
            env={**environment(), "PORT": self.url.rsplit(":", 1)[1]},
        )
        while not self._healthy():
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}")
            time.sleep(0.005)
        self.up_wall = time.monotonic() - began
        self.up_processor = processor_of(self.process.pid)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz") as answer:  # noqa: S310
                return answer.status == 200
        except urllib.error.URLError:
            return False

    def picture(self, seed: int) -> tuple[float, float]:
        """Wall and processor time of one picture at default settings, with its PNG."""
        body = json.dumps({"prompt": "cat", "seed": seed}).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/sdapi/v1/txt2img", body, {"Content-Type": "application/json"}
        )
        used, began = processor_of(self.process.pid), time.monotonic()
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            answer.read()
        return time.monotonic() - began, processor_of(self.process.pid) - used

    def memory_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
        raise LookupError("no VmHWM")

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def measured(rounds: int, pictures: int) -> dict[str, float | bool]:
    starts: list[Server] = []
    bares: list[tuple[float, float]] = []
    for _ in range(rounds):
        bares.append(bare())
        starts.append(Server())
        if len(starts) < rounds:
            starts[-1].end()
    server = starts[-1]
    server.picture(0)
    drawn = [server.picture(seed) for seed in range(1, pictures + 1)]
    memory = server.memory_mb()
    server.end()
    up = min(start.up_processor for start in starts)
    picture = statistics.median(processor for _, processor in drawn)
    return {
        "up_wall_s": round(min(start.up_wall for start in starts), 3),
        "up_processor_s": round(up, 3),
        "up_to_bare_imports": round(up / min(processor for _, processor in bares), 2),
        "picture_wall_s": round(min(wall for wall, _ in drawn), 3),
        "picture_processor_s": round(picture, 3),
        "memory_mb": round(memory, 1),
        "goals_met": up <= UP_GOAL and picture <= PICTURE_GOAL,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="starts; the best is told")
    parser.add_argument("--pictures", type=int, default=10)
    options = parser.parse_args()
    result = measured(options.rounds, options.pictures)
    print(json.dumps(result))
    sys.exit(not result["goals_met"])


if __name__ == "__main__":
    main()
