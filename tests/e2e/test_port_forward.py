"""kubectl port-forward to pods."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.platform import Platform

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "far"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "counter", "ports": [{"containerPort": 8080}]}],
    },
}


@pytest.fixture(scope="module")
def far(platform: Platform) -> Iterator[str]:
    platform.apply(json.dumps(POD))
    platform.wait_ready("pod/far")
    yield "pod/far"
    platform.kubectl("delete", "pod", "far", "--wait=false")


@contextlib.contextmanager
def forwarding(
    platform: Platform, pod: str, port: int
) -> Generator[tuple[int, subprocess.Popen[str]]]:
    """The local port that leads to a pod's, and the kubectl that listens there."""
    with platform.start_kubectl(
        *("port-forward", pod, f":{port}", "--address=127.0.0.1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith("Forwarding from 127.0.0.1:"), line + process.stderr.read()
        yield int(line.split(":")[1].split()[0]), process
        process.terminate()


@pytest.fixture
def forwarded(platform: Platform, far: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The local port that leads to the pod's 8080."""
    with forwarding(platform, far, 8080) as forwarded:
        yield forwarded


def test_many_requests_at_once(forwarded: tuple[int, subprocess.Popen[str]]) -> None:
    url = f"http://127.0.0.1:{forwarded[0]}/"

    def ask(number: int) -> int:
        return httpx.get(f"{url}?work=0.0{number}", trust_env=False, timeout=20).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(10))) == [200] * 10


def test_a_connection_stays_open_for_several_requests(
    forwarded: tuple[int, subprocess.Popen[str]],
) -> None:
    with httpx.Client(trust_env=False, timeout=20) as client:
        for _ in range(5):
            assert client.get(f"http://127.0.0.1:{forwarded[0]}/").status_code == 200


def test_a_client_that_goes_early_hurts_no_other(
    forwarded: tuple[int, subprocess.Popen[str]],
) -> None:
    port = forwarded[0]
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port)) as early:
            early.sendall(b"GET /?work=5 HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=20)
    assert answer.status_code == 200


def test_a_port_the_pod_does_not_have_is_named(platform: Platform, far: str) -> None:
    with forwarding(platform, far, 9999) as (port, process):
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=20)
        process.terminate()
        assert "pod far declares no port 9999" in process.stderr.read()
