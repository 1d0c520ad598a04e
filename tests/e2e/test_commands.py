"""`tidegate` itself: clear errors, quick start, small footprint, readable output."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.platform import Platform, free_ports, knative_service
from tidegate.cli.process import readiness

STUBBORN = """
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  containers:
  - name: main
    image: counter
    command: [sh, -c, "trap '' TERM; while true; do sleep 1; done"]
"""


def test_a_second_up_on_the_same_directory_is_refused(platform: Platform) -> None:
    done = platform.tidegate("up", "-d", *platform.up_options())
    assert done.returncode == 1
    assert "runs already" in done.stderr
    assert "tidegate down" in done.stderr


def test_a_busy_port_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        platform = Platform(tmp_path / "data", port, *free_ports(2))
        done = platform.tidegate("up", "-d", *platform.up_options())
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--api-port" in done.stderr


def test_an_unusable_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    platform = Platform(tmp_path / "file" / "data", *free_ports(3))
    done = platform.tidegate("up", "-d", *platform.up_options())
    assert done.returncode == 1
    assert "--data-dir" in done.stderr


def test_ctrl_c_while_it_comes_up_in_the_background_stops_it_again(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", *free_ports(4))
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.cli.entry", "up", "-d", *platform.up_options()],
        env={**os.environ, "TIDEGATE_HOME": str(platform.data_dir)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert "API answers" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(30) == 130
        assert "called off" in said
        assert "Traceback" not in said
    finally:
        process.stderr.close()
        platform.down()
    assert platform.tidegate("status").returncode == 1


def test_a_second_ctrl_c_does_not_wait_for_pods(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", *free_ports(4))
    ready, told = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.cli.entry", "up", *platform.up_options()],
        env={**readiness.environment_for(told), "TIDEGATE_HOME": str(platform.data_dir)},
        pass_fds=(told,),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(told)
    try:
        assert list(readiness.stages(ready, timeout=60))
        platform.apply(STUBBORN)
        platform.kubectl("wait", "pod/stubborn", "--for=condition=Ready", "--timeout=30s")
        pod = platform.get("pod", "stubborn")["status"]["containerStatuses"][0]["containerID"]
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.readline() == "stopping; press Ctrl-C again to stop at once\n"
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert (process.wait(30), said) == (0, "")
        # The grace of pods, and that of the gateway after it, are longer.
        assert time.monotonic() - asked < 9
        number = int(pod.removeprefix("process://").split("-")[0])
        assert not Path(f"/proc/{number}").exists()
    finally:
        os.close(ready)
        if process.stderr is not None:
            process.stderr.close()
        platform.down()


def test_of_two_that_start_at_once_one_is_refused(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", *free_ports(4))

    def up(_: int) -> subprocess.CompletedProcess[str]:
        return platform.tidegate("up", "-d", *platform.up_options())

    try:
        with ThreadPoolExecutor(2) as pool:
            first, second = sorted(pool.map(up, range(2)), key=lambda done: done.returncode)
        assert (first.returncode, second.returncode) == (0, 1), first.stderr + second.stderr
        assert "runs already" in second.stderr
        assert platform.tidegate("status").returncode == 0
        # What was killed is said to be gone, and is started again where it was.
        platform.end_control_plane()
        gone = platform.tidegate("status")
        assert gone.returncode == 1
        assert "does not run: start it" in gone.stderr
        platform.up()
        # Nobody reads on: that is no error.
        read_end, write_end = os.pipe()
        os.close(read_end)
        unread = subprocess.run(
            [sys.executable, "-m", "tidegate.cli.entry", "logs"],
            env={**os.environ, "TIDEGATE_HOME": str(platform.data_dir)},
            stdout=write_end,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )
        os.close(write_end)
        assert (unread.returncode, unread.stderr) == (0, b"")
    finally:
        platform.down()


def test_an_address_that_is_none_of_ours(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "data", *free_ports(4))
    done = platform.tidegate("up", "-d", "--bind=300.1.1.1", *platform.up_options())
    assert done.returncode == 1
    assert "300.1.1.1" in done.stderr
    assert "with --bind" in done.stderr
    assert "--api-port" not in done.stderr


def test_commands_without_a_platform_say_how_to_start_one(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "none", *free_ports(3))
    for command in ("status", "down", "logs", "kubeconfig"):
        done = platform.tidegate(command)
        assert done.returncode == 1
        assert "tidegate up" in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "status", "logs", "kubeconfig"])
def test_every_command_explains_itself(platform: Platform, command: str) -> None:
    done = platform.tidegate(command, "--help")
    assert done.returncode == 0
    assert "--data-dir" in done.stdout


def test_version(platform: Platform) -> None:
    assert platform.tidegate("version").stdout.startswith("tidegate ")


def test_kubeconfig_is_private_and_works(platform: Platform) -> None:
    path = Path(platform.tidegate("kubeconfig", "--path").stdout.strip())
    assert path.stat().st_mode & 0o077 == 0
    assert platform.tidegate("kubeconfig").stdout == path.read_text()


def test_status_shows_pods_their_spec_seconds_and_cost(platform: Platform) -> None:
    annotations = {
        "autoscaling.knative.dev/min-scale": "1",
        "k8s.aliyun.com/eci-use-specs": "ecs.gn5-c4g1.xlarge,ecs.gn5i-c8g1.2xlarge",
    }
    platform.apply(knative_service("priced", annotations=annotations))
    platform.wait_ready("ksvc/priced")
    status = json.loads(platform.tidegate("status", "-o", "json").stdout)
    pod = next(pod for pod in status["pods"] if pod["service"] == "priced")
    assert pod["spec"] == "ecs.gn5-c4g1.xlarge"
    assert pod["seconds"] > 0
    assert pod["cost"] > 0
    service = next(s for s in status["services"] if s["name"] == "priced")
    assert service["ready"] is True
    assert "priced" in platform.tidegate("status").stdout
    found = platform.get("pods", "-l", "serving.knative.dev/service=priced")["items"][0]
    chosen = found["metadata"]["annotations"]["k8s.aliyun.com/eci-instance-spec"]
    assert chosen == "ecs.gn5-c4g1.xlarge"
    assert "counter: ready" in platform.tidegate("logs", "priced").stdout
    platform.kubectl("delete", "ksvc/priced")


def test_why_there_is_no_log_is_said(platform: Platform) -> None:
    done = platform.tidegate("logs", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no service default/nobody" in done.stderr


def test_the_idle_control_plane_is_small(platform: Platform) -> None:
    status = Path(f"/proc/{platform.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 150 * 1024
