"""Commands in containers by the real kubectl and the official Python client."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.platform import Platform

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "box"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "main",
                "image": "counter",
                "env": [{"name": "GREETING", "value": "hello"}],
                "ports": [{"containerPort": 8080}],
            }
        ],
    },
}


@pytest.fixture(scope="module")
def box(platform: Platform) -> Iterator[str]:
    platform.apply(json.dumps(POD))
    platform.wait_ready("pod/box")
    yield "box"
    platform.kubectl("delete", "pod", "box", "--ignore-not-found", "--wait=false")


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(10_000))
    finally:
        os.close(handle)


def test_a_command_has_the_containers_environment_and_directory(
    platform: Platform, box: str
) -> None:
    script = "echo $GREETING; hostname >/dev/null; ls; echo oops >&2"
    done = platform.kubectl("exec", box, "--", "sh", "-c", script)
    assert done.stdout.splitlines()[0] == "hello"
    assert "counter.py" in done.stdout.split()
    assert done.stderr == "oops\n"


def test_the_exit_code_is_kubectls(platform: Platform, box: str) -> None:
    done = platform.kubectl("exec", box, "--", "sh", "-c", "exit 7", check=False)
    assert done.returncode == 7
    assert "exit code 7" in done.stderr


def test_input_goes_to_its_end(platform: Platform, box: str) -> None:
    text = "".join(f"line {number}\n" for number in range(200_000))
    done = platform.kubectl("exec", "-i", box, "--", "sha256sum", stdin=text)
    import hashlib

    assert done.stdout.split()[0] == hashlib.sha256(text.encode()).hexdigest()


def test_much_output_comes_whole(platform: Platform, box: str) -> None:
    done = platform.kubectl("exec", box, "--", "seq", "500000")
    assert done.stdout.splitlines() == [str(number) for number in range(1, 500_001)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("box", "--", "no-such-program"), "executable file not found in $PATH"),
        (("box", "-c", "other", "--", "true"), "container other is not valid for pod box"),
        (("absent", "--", "true"), 'pods "absent" not found'),
    ],
)
def test_what_cannot_run_says_why(
    platform: Platform, box: str, arguments: tuple[str, ...], words: str
) -> None:
    done = platform.kubectl("exec", *arguments, check=False)
    assert done.returncode != 0
    assert words in done.stderr


def test_a_command_ends_with_its_client(platform: Platform, box: str) -> None:
    with platform.start_kubectl(
        "exec", box, "--", "sh", "-c", "echo $$; sleep 300", stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        pid = int(client.stdout.readline())
        os.kill(pid, 0)
        client.kill()
    assert gone(pid)


def test_a_command_ends_with_its_container(platform: Platform) -> None:
    pod = {**POD, "metadata": {"name": "soon-gone"}}
    platform.apply(json.dumps(pod))
    platform.wait_ready("pod/soon-gone")
    with platform.start_kubectl(
        "exec",
        "soon-gone",
        "--",
        "sh",
        "-c",
        "echo $$; sleep 300",
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdout is not None
        pid = int(client.stdout.readline())
        platform.kubectl("delete", "pod", "soon-gone")
        assert client.wait(10) == 137
    assert gone(pid)


def test_daemons_end_with_their_pod(platform: Platform) -> None:
    noted = "echo $! > $HOME/{0}.new; mv $HOME/{0}.new $HOME/{0}"
    daemon = f"(setsid sh -c 'sleep 301 & {noted}; wait' >/dev/null 2>&1 &)"
    own = f"{daemon.format('own')}; exec python3 -u counter.py"
    pod = json.loads(json.dumps({**POD, "metadata": {"name": "with-daemons"}}))
    pod["spec"]["containers"][0]["command"] = ["sh", "-c", own]
    platform.apply(json.dumps(pod))
    platform.wait_ready("pod/with-daemons")
    script = (
        f"{daemon.format('other')}; while [ ! -e $HOME/own -o ! -e $HOME/other ]; do sleep 0.01;"
        " done; cat $HOME/own $HOME/other"
    )
    done = platform.kubectl("exec", "with-daemons", "--", "sh", "-c", script)
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, 0)
    platform.kubectl("delete", "pod", "with-daemons")
    assert all(gone(pid) for pid in pids)


def test_a_terminal(platform: Platform, box: str) -> None:
    terminal, side = pty.openpty()
    try:
        with platform.start_kubectl(
            "exec", "-it", box, "--", "sh", stdin=side, stdout=side, stderr=side
        ) as client:
            os.write(terminal, b"tty; stty size; echo $((40+2))$GREETING; exit 3\n")
            seen = b""
            deadline = time.monotonic() + 20
            while client.poll() is None and time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.1)[0]:
                    seen += os.read(terminal, 4096)
            assert client.wait(5) == 3
            while select.select([terminal], [], [], 0)[0]:
                seen += os.read(terminal, 4096)
    finally:
        os.close(side)
        os.close(terminal)
    assert b"/dev/pts/" in seen
    assert b"42hello" in seen


def test_the_python_client(platform: Platform, box: str) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    from kubernetes.stream import stream

    connected = kubernetes.config.new_client_from_config(str(platform.data_dir / "kubeconfig"))
    core = kubernetes.client.CoreV1Api(connected)
    options = {"stderr": True, "stdin": True, "stdout": True, "tty": False}
    session = stream(
        core.connect_get_namespaced_pod_exec,
        "box",
        "default",
        command=["sh", "-c", "read x; echo got $x; echo no >&2; exit 4"],
        _preload_content=False,
        **options,
    )
    session.write_stdin("word\n")
    session.run_forever(timeout=20)
    assert (session.read_stdout(), session.read_stderr()) == ("got word\n", "no\n")
    assert session.returncode == 4
    session.close()
    session.sock.shutdown()
    connected.close()


def test_only_who_may_exec(platform: Platform, box: str) -> None:
    platform.kubectl("create", "serviceaccount", "viewer")
    platform.kubectl(
        "create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount=default:viewer"
    )
    viewer = "--as=system:serviceaccount:default:viewer"
    done = platform.kubectl("exec", viewer, box, "--", "true", check=False)
    assert done.returncode != 0
    assert 'cannot create resource "pods/exec"' in done.stderr


def test_nothing_runs_on_when_the_control_plane_dies(tmp_path: Path) -> None:
    from tests.e2e.platform import running_platform

    with running_platform(tmp_path) as platform:
        platform.apply(json.dumps(POD))
        platform.wait_ready("pod/box")
        with platform.start_kubectl(
            "exec", "box", "--", "sh", "-c", "echo $$; sleep 300", stdout=subprocess.PIPE
        ) as client:
            assert client.stdout is not None
            pid = int(client.stdout.readline())
            platform.end_control_plane()
            assert gone(pid)
            client.send_signal(signal.SIGTERM)
        platform.up()
        platform.kubectl("exec", "box", "--", "true")
