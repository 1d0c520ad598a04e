"""`tidegate gateway`: a second process with a HAProxy of its own before the same pods."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.platform import Platform, end, free_ports, knative_service, running_platform

_MIN_SCALE = "autoscaling.knative.dev/min-scale"


@contextmanager
def _second_gateway(platform: Platform) -> Generator[Platform]:
    """One more; what is given is the platform as seen through it."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tidegate.cli.main", "gateway"),
            *("--name=second", f"--port={port}", "--max-revisions=64"),
        ],
        env={**os.environ, **platform.environment, "TIDEGATE_HOME": str(platform.data_dir)},
        stderr=subprocess.PIPE,
    )
    try:
        _wait_for(process, b"answers at")
        yield replace(platform, gateway_port=port)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        if process.stderr is not None:
            process.stderr.close()


def _wait_for(process: subprocess.Popen[bytes], word: bytes) -> None:
    assert process.stderr is not None
    seen = b""
    while word not in seen:
        assert select.select([process.stderr], [], [], 30)[0], seen.decode()
        more = os.read(process.stderr.fileno(), 4096)
        assert more, seen.decode()
        seen += more


def test_two_gateways_start_pods_together_and_never_give_one_two(platform: Platform) -> None:
    name, host = "twice", "twice.default.localhost"
    keyed = {"initial-scale": "0", "max-scale": "4", "target-utilization-percentage": "100"}
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in keyed.items()}
    platform.apply(knative_service(name, annotations=annotations))
    platform.wait_ready(f"ksvc/{name}")
    pods = ("pods", "-l", f"serving.knative.dev/service={name}")
    assert platform.get(*pods)["items"] == []
    with _second_gateway(platform) as second:

        def one(number: int) -> dict:
            doors = (platform, second)[number % 2]
            answer = doors.request(host, "/?work=0.3", timeout=60)
            assert answer.status_code == 200, answer.text
            return answer.json()

        # From zero, by a request that only the second knows of.
        assert one(1)["most"] == 1
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(one, range(32)))
        assert max(answer["most"] for answer in answers) == 1
        assert len({answer["pod"] for answer in answers}) == 4
        # Down again: both have to say that they have nothing there.
        platform.kubectl("wait", "--for=delete", *pods, "--timeout=60s")
    leases = platform.get("leases", "-n", "tidegate-system")["items"]
    assert [lease["metadata"]["name"] for lease in leases] == ["gateway-gateway"]
    assert platform.request(host).status_code == 200
    platform.kubectl("delete", f"ksvc/{name}")


def test_a_further_gateway_runs_in_the_background_with_https_until_down(tmp_path: Path) -> None:
    with running_platform(tmp_path / "data") as platform:
        name, host = "secure", "secure.default.localhost"
        platform.apply(knative_service(name, annotations={_MIN_SCALE: "1"}))
        platform.wait_ready(f"ksvc/{name}")
        port, https_port = free_ports(2)
        options = ("gateway", "-d", "--name=third", "--max-revisions=64")
        started = platform.tidegate(*options, f"--port={port}", f"--https-port={https_port}")
        assert started.returncode == 0, started.stderr
        said = (
            f"gateway third answers at http://127.0.0.1:{port} and https://127.0.0.1:{https_port}"
        )
        assert said in started.stderr
        assert replace(platform, gateway_port=port).request(host).status_code == 200
        # The authority that signs for the first signs for this one.
        trusted = ssl.create_default_context(cafile=str(platform.data_dir / "pki" / "ca.crt"))
        with (
            socket.create_connection(("127.0.0.1", https_port), timeout=10) as plain,
            trusted.wrap_socket(plain, server_hostname=host) as secured,
        ):
            assert secured.getpeercert()
        (line,) = _gateways(platform)
        assert line["alive"] is True
        assert line["address"] in said
        assert f"third: http://127.0.0.1:{port}" in platform.tidegate("status").stdout

        again = platform.tidegate(*options, f"--port={port}")
        assert again.returncode == 1
        assert "--name" in again.stderr
        process = os.pidfd_open(line["process"])
        platform.down()
        assert select.select([process], [], [], 0) == ([process], [], [])
        os.close(process)
        platform.up()
        assert _gateways(platform) == []


def test_down_ends_a_further_gateway_whose_agent_was_killed(tmp_path: Path) -> None:
    with running_platform(tmp_path / "data") as platform:
        (port,) = free_ports(1)
        started = platform.tidegate("gateway", "-d", f"--port={port}", "--max-revisions=64")
        assert started.returncode == 0, started.stderr
        (line,) = _gateways(platform)
        end(line["process"], signal.SIGKILL)
        (line,) = _gateways(platform)
        assert (line["name"], line["process"]) == ("second", None)
        # Its HAProxy goes on.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        platform.down()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        platform.up()
        assert _gateways(platform) == []


def test_what_keeps_a_further_gateway_from_starting_is_said(
    platform: Platform, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    start = ("gateway", f"--port={port}", "--max-revisions=64")
    other = Platform(tmp_path / "none", *free_ports(3))
    (tmp_path / "config").write_text(
        platform.tidegate("kubeconfig").stdout.replace(str(platform.api_port), str(port))
    )
    for options, words in (
        (("--name=Big",), "no name for a gateway"),
        (("--name=gateway",), "the platform's own"),
        (("--tls-cert=a.pem",), "--tls-key"),
        ((f"--kubeconfig={tmp_path / 'missing'}",), "missing"),
        ((f"--kubeconfig={tmp_path / 'config'}",), "does not answer"),
    ):
        done = platform.tidegate(*start, *options)
        assert (done.returncode, done.stdout) == (1, ""), options
        assert words in done.stderr, done.stderr
    done = platform.tidegate("gateway", f"--port={platform.gateway_port}", "--name=taken")
    assert done.returncode == 1
    assert "choose another with --port" in done.stderr
    config = f"--kubeconfig={platform.data_dir / 'kubeconfig'}"
    done = other.tidegate(*start, config, "--https-port=1")
    assert done.returncode == 1
    assert "--tls-cert" in done.stderr


def _gateways(platform: Platform) -> list[dict]:
    done = platform.tidegate("status", "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["gateways"]
