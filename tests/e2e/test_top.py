"""`kubectl top`: what pods and nodes use, as the real kubectl shows it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Generator

import pytest

from tests.e2e.platform import Platform

BALLAST = "b = bytearray(48 * 2**20); b[::4096] = b'x' * len(b[::4096])"


def _pod(name: str, namespace: str, *programs: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"measured": "yes"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": f"c{index}",
                        "image": "counter",
                        "command": ["python3", "-c", program],
                    }
                    for index, program in enumerate(programs)
                ],
            },
        }
    )


def _eventually(platform: Platform, check: Callable[[str], bool], *arguments: str) -> str:
    """The output of `kubectl top` as soon as `check` holds of it."""
    deadline = time.monotonic() + 60
    while True:
        done = platform.kubectl("top", *arguments, check=False)
        if done.returncode == 0 and check(done.stdout):
            return done.stdout
        assert time.monotonic() < deadline, done
        time.sleep(0.5)


@pytest.fixture(scope="module")
def measured(platform: Platform) -> Generator[Platform]:
    platform.kubectl("create", "namespace", "elsewhere")
    platform.apply(_pod("busy", "default", "while True: pass", "import time; time.sleep(1e6)"))
    platform.apply(_pod("big", "elsewhere", f"import time; {BALLAST}; time.sleep(1e6)"))
    yield platform
    platform.kubectl("delete", "pod/busy", "namespace/elsewhere", "--wait=true")


def _rows(output: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in output.splitlines()[1:]}


def _number(cell: str) -> int:
    return int(cell.removesuffix("Mi").removesuffix("m"))


def test_top_pod_shows_cpu_and_memory(measured: Platform) -> None:
    output = _eventually(
        measured,
        lambda text: "busy" in text and _number(_rows(text)["busy"][1]) > 10,
        "pod",
    )
    assert output.splitlines()[0].split() == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert "big" not in output
    assert _number(_rows(output)["busy"][2]) > 0


def test_top_pod_containers_all_namespaces_selectors_and_sorting(measured: Platform) -> None:
    containers = _eventually(measured, lambda text: "c1" in text, "pod", "busy", "--containers")
    assert containers.splitlines()[0].split() == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    cpu = {line.split()[1]: _number(line.split()[2]) for line in containers.splitlines()[1:]}
    assert cpu["c0"] > 10 > cpu["c1"]

    everywhere = ("pod", "-A", "-l", "measured=yes")
    both = _eventually(measured, lambda text: "busy" in text and "big" in text, *everywhere)
    assert {line.split()[1] for line in both.splitlines()[1:]} == {"busy", "big"}
    by_memory = measured.kubectl("top", *everywhere, "--sort-by=memory", "--no-headers").stdout
    assert [line.split()[1] for line in by_memory.splitlines()] == ["big", "busy"]
    by_cpu = measured.kubectl("top", *everywhere, "--sort-by=cpu", "--no-headers").stdout
    assert [line.split()[1] for line in by_cpu.splitlines()] == ["busy", "big"]
    nothing = measured.kubectl("top", "pod", "-l", "measured=no")
    assert "No resources found" in nothing.stderr


def test_top_node_shows_the_parts_of_what_is_allocatable(measured: Platform) -> None:
    output = _eventually(measured, lambda text: "tidegate" in text, "node")
    assert output.splitlines()[0].split()[:5] == [
        "NAME",
        "CPU(cores)",
        "CPU(%)",
        "MEMORY(bytes)",
        "MEMORY(%)",
    ]
    row = _rows(output)["tidegate"]
    assert _number(row[1]) > 0
    assert int(row[4].removesuffix("%")) > 0


def test_the_api_of_metrics_is_discovered_and_read_as_any_other(measured: Platform) -> None:
    listed = measured.kubectl("api-resources", "--api-group=metrics.k8s.io", "--no-headers").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["nodes", "pods"]
    _eventually(measured, lambda text: "busy" in text, "pod", "busy")
    one = measured.get("pods.metrics.k8s.io", "busy")
    assert one["kind"] == "PodMetrics"
    assert one["metadata"]["labels"] == {"measured": "yes"}
    assert [container["name"] for container in one["containers"]] == ["c0", "c1"]
    assert one["containers"][0]["usage"]["cpu"].endswith("n")
    table = measured.kubectl("get", "pods.metrics.k8s.io").stdout.splitlines()
    assert table[0].split() == ["NAME", "CPU", "MEMORY", "WINDOW"]
    missing = measured.kubectl("get", "pods.metrics.k8s.io", "none", check=False)
    assert 'pods.metrics.k8s.io "none" not found' in missing.stderr
    refused = measured.kubectl("delete", "pods.metrics.k8s.io", "busy", check=False)
    assert "MethodNotAllowed" in refused.stderr or "does not allow" in refused.stderr


def test_viewers_may_read_metrics_and_others_may_not(measured: Platform) -> None:
    def can(user: str, *what: str) -> subprocess.CompletedProcess[str]:
        return measured.kubectl("auth", "can-i", *what, f"--as={user}", check=False)

    measured.kubectl("create", "rolebinding", "viewers", "--clusterrole=view", "--user=vera")
    assert can("vera", "list", "pods.metrics.k8s.io").stdout.strip() == "yes"
    assert can("vera", "list", "pods.metrics.k8s.io", "-n", "elsewhere").stdout.strip() == "no"
    assert can("nobody", "list", "pods.metrics.k8s.io").stdout.strip() == "no"
