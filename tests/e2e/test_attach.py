"""The streams of containers by the real kubectl: `run -i`, `run -it` and `attach`."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import select
import subprocess
import time

import pytest

from tests.e2e.platform import Platform
from tests.support.waiting import wait_until

RUN = ("run", "--restart=Never", "--image=counter", "--rm", "--quiet", "--command")


def create(platform: Platform, name: str, *command: str, **container) -> None:
    main = {"name": "main", "image": "counter", "command": list(command), **container}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    platform.apply(json.dumps(pod))
    platform.wait_ready(f"pod/{name}")


@pytest.mark.parametrize(
    "command",
    [
        ("sh", "-c", "cat; echo from sh >&2"),
        ("python3", "-c", 'import sys; print(sys.stdin.read() + "from sh", file=sys.stderr)'),
    ],
)
def test_run_gives_a_pod_its_input_to_the_end(platform: Platform, command: tuple[str, ...]) -> None:
    done = platform.kubectl(*RUN, "-i", "reader", "--", *command, stdin="one\ntwo\n")
    assert "one\ntwo\n" in done.stdout + done.stderr
    assert "from sh" in done.stderr
    assert "reader" not in platform.kubectl("get", "pods").stdout


def test_the_exit_code_of_run_is_the_pods(platform: Platform) -> None:
    done = platform.kubectl(
        *RUN, "-i", "failing", "--", "sh", "-c", "cat; exit 7", stdin="x", check=False
    )
    assert done.returncode == 7


def test_much_input_comes_whole_at_the_readers_pace(platform: Platform) -> None:
    text = "".join(f"line {number}\n" for number in range(400_000))
    script = "sleep 1; sha256sum"
    done = platform.kubectl(*RUN, "-i", "much", "--", "sh", "-c", script, stdin=text)
    assert done.stdout.split()[0] == hashlib.sha256(text.encode()).hexdigest()


def test_much_output_comes_whole(platform: Platform) -> None:
    script = "read line; seq 1000000"
    done = platform.kubectl(*RUN, "-i", "writer", "--", "sh", "-c", script, stdin="go\n")
    assert done.stdout.splitlines() == [str(number) for number in range(1, 1_000_001)]


def test_a_terminal(platform: Platform) -> None:
    terminal, side = pty.openpty()
    try:
        with platform.start_kubectl(
            *RUN, "-it", "shell", "--", "sh", stdin=side, stdout=side, stderr=side
        ) as client:
            seen = until(terminal, client, b"# ", b"$ ")
            os.write(terminal, b"tty; stty size; echo $TERM-$((40+2)); exit 3\n")
            seen += until(terminal, client)
            assert client.wait(30) == 3
    finally:
        os.close(side)
        os.close(terminal)
    assert b"/dev/pts/" in seen
    assert b"xterm-42" in seen


def until(terminal: int, client: subprocess.Popen[bytes], *marks: bytes) -> bytes:
    """What is seen until one of the marks, or until the client has ended."""
    seen, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline and not any(mark in seen for mark in marks):
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 4096)
        elif client.poll() is not None:
            break
    return seen


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
def test_the_one_client_misses_nothing_that_was_said_before_it_came(
    platform: Platform, tty: bool
) -> None:
    name = f"early-{tty}".lower()
    script = "echo early; read word; echo got $word"
    create(platform, name, "sh", "-c", script, stdin=True, stdinOnce=True, tty=tty)
    wait_until(lambda: platform.kubectl("logs", name).stdout.split() == ["early"])
    said = platform.kubectl("attach", "-i", name, stdin="word\n").stdout.split()
    # A terminal shows what is typed.
    assert said == ["early", *(["word"] if tty else []), "got", "word"]
    platform.kubectl("delete", "pod", name, "--wait=false")


def test_input_stays_open_from_one_client_to_the_next(platform: Platform) -> None:
    script = 'while read line; do echo "heard $line"; done'
    create(platform, "asked", "sh", "-c", script, stdin=True)
    for word in ("first", "second"):
        with platform.start_kubectl(
            "attach", "-i", "asked", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(f"{word}\n".encode())
            client.stdin.flush()
            assert client.stdout.readline() == f"heard {word}\n".encode()
            client.kill()
    assert platform.kubectl("logs", "asked").stdout == "heard first\nheard second\n"
    platform.kubectl("delete", "pod", "asked", "--wait=false")


def test_a_pod_without_input_reads_nothing_and_takes_none(platform: Platform) -> None:
    script = "cat; echo ready; while [ ! -e $HOME/go ]; do sleep 0.05; done; echo done"
    create(platform, "deaf", "sh", "-c", script)
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with platform.start_kubectl("attach", "-i", "deaf", **pipes) as client:
        assert client.stdin is not None
        assert client.stderr is not None
        assert b"command prompt" in client.stderr.readline()
        client.stdin.write(b"nobody hears this\n")
        client.stdin.flush()
        platform.kubectl("exec", "deaf", "--", "sh", "-c", "touch $HOME/go")
        out, _ = client.communicate(timeout=60)
    assert client.returncode == 0
    assert out == b"done\n"
    assert platform.kubectl("logs", "deaf").stdout == "ready\ndone\n"
    platform.kubectl("delete", "pod", "deaf", "--wait=false")
