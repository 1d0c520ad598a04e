"""A real platform on ephemeral ports in a directory of its own, driven as a user would."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

REPOSITORY = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"


@dataclass
class Platform:
    """Commands against one platform.

    Attributes:
        data_dir: of the platform.
        api_port, gateway_port, console_port: where it listens on 127.0.0.1.
        https_port: where its gateway speaks TLS, 0 for nowhere.
        images: directories of images it knows from the start.
        max_revisions: for how many its gateway is made, 0 for as many as usual.
    """

    data_dir: Path
    api_port: int
    gateway_port: int
    console_port: int
    https_port: int = 0
    images: tuple[Path, ...] = (IMAGES,)
    environment: Mapping[str, str] = field(default_factory=dict)
    max_revisions: int = 0

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def pid(self) -> int:
        """The control plane's process."""
        return int((self.data_dir / "lock").read_text())

    def tidegate(self, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Run a command of Tidegate on this platform's data directory."""
        return subprocess.run(
            [sys.executable, "-m", "tidegate.cli.main", *arguments],
            env={**os.environ, **self.environment, "TIDEGATE_HOME": str(self.data_dir)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> None:
        """Start it in the background; fails the test with its log when it does not come up."""
        done = self.tidegate("up", "--detach", *self.up_options())
        if done.returncode:
            log = self.data_dir / "logs" / "tidegate.log"
            tail = log.read_text()[-4000:] if log.exists() else ""
            raise AssertionError(f"{done.stdout}{done.stderr}\n{tail}")

    def up_options(self) -> list[str]:
        return [
            f"--api-port={self.api_port}",
            f"--gateway-port={self.gateway_port}",
            f"--console-port={self.console_port}",
            f"--https-port={self.https_port}",
            *(f"--images={path}" for path in self.images),
            *([f"--max-revisions={self.max_revisions}"] if self.max_revisions else []),
        ]

    def down(self) -> None:
        done = self.tidegate("down")
        assert done.returncode == 0, done.stderr

    def end_control_plane(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it alone: as a crash would, or in order by SIGTERM."""
        end(self.pid, number)

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the real kubectl; with `check` a failure fails the test with its words."""
        done = subprocess.run(
            ["kubectl", *arguments],
            env=self._kubectl_environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def start_kubectl(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Start kubectl; the caller ends it. The options are those of `Popen`."""
        return subprocess.Popen(["kubectl", *arguments], env=self._kubectl_environment, **options)

    @property
    def _kubectl_environment(self) -> dict[str, str]:
        kubeconfig = str(self.data_dir / "kubeconfig")
        return {**os.environ, "KUBECONFIG": kubeconfig, "HOME": str(self.data_dir)}

    def get(self, *arguments: str) -> Any:
        """`kubectl get ... -o json`, parsed."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def apply(self, manifest: str) -> str:
        return self.kubectl("apply", "-f", "-", stdin=manifest).stdout

    def wait_ready(self, *objects: str) -> None:
        """Wait until objects, each as KIND/NAME, have the condition Ready."""
        self.kubectl("wait", *objects, "--for=condition=Ready", "--timeout=60s", timeout=70)

    def configure_autoscaler(self, **settings: str) -> None:
        """Set keys of its ConfigMap, in which dashes stand for underscores."""
        data = {key.replace("_", "-"): value for key, value in settings.items()}
        self.kubectl(
            *("patch", "configmap/config-autoscaler", "--namespace=knative-serving"),
            *("--type=merge", f"--patch={json.dumps({'data': data})}"),
        )

    def request(
        self, host: str, path: str = "/", *, timeout: float = 30, **options: Any
    ) -> httpx.Response:
        """A GET through the gateway on a connection of its own."""
        headers = {"Host": host, **options.pop("headers", {})}
        with httpx.Client(trust_env=False, timeout=timeout) as client:
            return client.get(f"{self.gateway}{path}", headers=headers, **options)


def end(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and wait until it has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, number)
        ended, _, _ = select.select([descriptor], [], [], 30)
        assert ended, f"process {pid} does not end"
    finally:
        os.close(descriptor)


def free_ports(count: int) -> list[int]:
    """Distinct ports that were free a moment ago, below the range of outgoing connections."""
    ports: list[int] = []
    for candidate in range(10_000 + os.getpid() % 1000 * 9, 20_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", candidate))
            ports.append(candidate)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports on this machine")


@contextlib.contextmanager
def running_platform(
    directory: Path, *, images: tuple[Path, ...] = (IMAGES,)
) -> Generator[Platform]:
    """A platform that is up, and is taken down in the end with all that it started."""
    platform = Platform(directory, *free_ports(4), images=images)
    platform.up()
    try:
        yield platform
    finally:
        platform.down()


def knative_service(
    name: str,
    *,
    image: str = "counter",
    annotations: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    concurrency: int = 1,
    traffic: list[dict[str, Any]] | None = None,
    namespace: str = "default",
) -> str:
    """The manifest of a Knative Service, as JSON, which is YAML."""
    scaling = {"autoscaling.knative.dev/class": "mpa.autoscaling.knative.dev"}
    spec: dict[str, Any] = {
        "template": {
            "metadata": {"annotations": {**scaling, **(annotations or {})}},
            "spec": {
                "containerConcurrency": concurrency,
                "containers": [
                    {
                        "image": image,
                        "env": [{"name": k, "value": v} for k, v in (env or {}).items()],
                    }
                ],
            },
        }
    }
    if traffic is not None:
        spec["traffic"] = traffic
    return json.dumps(
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
    )
