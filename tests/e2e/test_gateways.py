"""`tidegate gateway`: a second process with a HAProxy of its own before the same pods."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from tests.e2e.platform import Platform, free_ports, knative_service


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
    keyed = {"max-scale": "4", "target-utilization-percentage": "100"}
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in keyed.items()}
    platform.apply(knative_service(name, annotations=annotations))
    platform.kubectl("wait", f"ksvc/{name}", "--for=condition=Ready", "--timeout=30s")
    pods = ("pods", "-l", f"serving.knative.dev/service={name}")
    platform.kubectl("wait", "--for=delete", *pods, "--timeout=60s")
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
