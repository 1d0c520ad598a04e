"""From zero, up with the burst, exactly one request per pod, down again without a loss."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.platform import Platform, knative_service
from tests.support.waiting import wait_until


def _deploy(platform: Platform, name: str, **annotations: str) -> str:
    keyed = {f"autoscaling.knative.dev/{key}": value for key, value in annotations.items()}
    platform.apply(knative_service(name, annotations=keyed))
    platform.wait_ready(f"ksvc/{name}")
    return f"{name}.default.localhost"


def _deploy_at_zero(platform: Platform, name: str, **annotations: str) -> str:
    host = _deploy(platform, name, **{"initial-scale": "0"}, **annotations)
    assert _pods(platform, name) == []
    return host


def _pods(platform: Platform, name: str) -> list[str]:
    """Those that are not on their way out."""
    found = platform.get("pods", "-l", f"serving.knative.dev/service={name}")["items"]
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _wait_for_pods(platform: Platform, name: str, number: int) -> None:
    platform.kubectl(
        "wait", f"deploy/{name}-00001-deployment",
        f"--for=jsonpath={{.status.readyReplicas}}={number}", "--timeout=30s",
    )  # fmt: skip


def _wait_for_zero(platform: Platform, name: str) -> None:
    platform.kubectl(
        "wait", "--for=delete", "pods", "-l", f"serving.knative.dev/service={name}",
        "--timeout=60s",
    )  # fmt: skip


def _burst(platform: Platform, host: str, *, total: int, at_once: int, work: float) -> list[dict]:
    def one(_: int) -> dict:
        answer = platform.request(host, f"/?work={work}", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, range(total)))


def test_a_burst_from_zero_gets_a_pod_per_request_and_no_pod_ever_two(platform: Platform) -> None:
    host = _deploy_at_zero(
        platform, "burst", **{"max-scale": "10", "target-utilization-percentage": "100"}
    )
    began = time.monotonic()
    answers = _burst(platform, host, total=20, at_once=20, work=1.0)
    took = time.monotonic() - began
    assert max(answer["most"] for answer in answers) == 1
    assert len({answer["pod"] for answer in answers}) == 10
    assert took < 15, f"20 requests of 1 s over 10 pods took {took:.1f} s"
    _wait_for_zero(platform, "burst")
    platform.kubectl("delete", "ksvc/burst")


def test_max_scale_is_never_exceeded(platform: Platform) -> None:
    host = _deploy(platform, "capped", maxScale="2", targetUtilizationPercentage="100")
    answers = _burst(platform, host, total=12, at_once=12, work=0.2)
    assert max(answer["most"] for answer in answers) == 1
    assert len({answer["pod"] for answer in answers}) == 2
    platform.kubectl("delete", "ksvc/capped")


def test_min_scale_is_kept(platform: Platform) -> None:
    _deploy(platform, "kept", **{"min-scale": "2"})
    _wait_for_pods(platform, "kept", 2)
    platform.kubectl("delete", "ksvc/kept")


def test_a_long_request_outlives_the_scale_down_around_it(platform: Platform) -> None:
    host = _deploy(platform, "long", **{"target-utilization-percentage": "100"})
    with ThreadPoolExecutor(4) as pool:
        long = pool.submit(platform.request, host, "/?work=60", timeout=60)
        for _ in range(3):
            pool.submit(platform.request, host, "/?work=0.5", timeout=60)
        _wait_for_pods(platform, "long", 4)
        _wait_for_pods(platform, "long", 1)
        (pod,) = _pods(platform, "long")
        # Past the gateway, which gives this pod nothing as long as it works.
        ask = "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/end')"
        platform.kubectl("exec", pod, "--", "python3", "-c", ask)
        answer = long.result()
    assert answer.status_code == 200
    assert answer.json()["pod"] == pod
    platform.kubectl("delete", "ksvc/long")


def test_first_answer_from_zero_says_how_long_it_waited(platform: Platform) -> None:
    host = _deploy_at_zero(platform, "cold")
    answer = platform.request(host, headers={"Tidegate-Debug": "1"})
    assert answer.status_code == 200
    assert 0 < float(answer.headers["Tidegate-Cold-Start"]) < 10
    assert answer.headers["Tidegate-Pod"] == answer.json()["pod"]
    warm = platform.request(host)
    assert "Tidegate-Cold-Start" not in warm.headers
    platform.kubectl("delete", "ksvc/cold")


def test_a_cold_start_is_known_by_its_phases(platform: Platform) -> None:
    host = _deploy_at_zero(platform, "phases")
    answer = platform.request(host)
    seconds = float(answer.headers["Tidegate-Cold-Start"])
    wait_until(lambda: _phase_seconds(platform, "phases-00001"), pause=0.2)
    found = _phase_seconds(platform, "phases-00001")
    platform.kubectl("delete", "ksvc/phases")

    assert list(found) == ["decide", "schedule", "image", "start", "ready", "route"]
    assert sum(found.values()) == pytest.approx(seconds, abs=0.001)
    # Each of these parts has told its own time, and none of them works in no time.
    assert all(found[phase] > 0 for phase in ("decide", "schedule", "start", "ready", "route"))


def _phase_seconds(platform: Platform, revision: str) -> dict[str, float]:
    token = (platform.data_dir / "console-token").read_text().strip()
    text = httpx.get(
        f"http://127.0.0.1:{platform.console_port}/metrics",
        headers={"Authorization": f"Bearer {token}"},
    ).text
    return {
        sample.labels["phase"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "tidegate_cold_start_phase_seconds_sum"
        and sample.labels["revision_name"] == revision
    }


def test_versions_stand_side_by_side_and_traffic_moves_by_percent(platform: Platform) -> None:
    keep = {"autoscaling.knative.dev/min-scale": "1"}
    platform.apply(knative_service("split", annotations=keep, env={"VERSION": "one"}))
    platform.wait_ready("ksvc/split")
    traffic = [
        {"revisionName": "split-00001", "percent": 80},
        {"latestRevision": True, "percent": 20, "tag": "next"},
    ]
    platform.apply(
        knative_service("split", annotations=keep, env={"VERSION": "two"}, traffic=traffic)
    )
    platform.kubectl(
        "wait", "ksvc/split", "--timeout=30s",
        "--for=jsonpath={.status.latestReadyRevisionName}=split-00002",
    )  # fmt: skip
    platform.wait_ready("ksvc/split")
    revisions = platform.get("revisions", "-l", "serving.knative.dev/service=split")["items"]
    assert len(revisions) == 2
    tagged = platform.request("next-split.default.localhost")
    assert tagged.json()["version"] == "two"
    with httpx.Client(trust_env=False, headers={"Host": "split.default.localhost"}) as client:
        seen = Counter(client.get(platform.gateway).json()["version"] for _ in range(300))
    assert seen["one"] == pytest.approx(240, abs=35)
    moved = [{"latestRevision": True, "percent": 100}]
    platform.apply(
        knative_service("split", annotations=keep, env={"VERSION": "two"}, traffic=moved)
    )
    platform.wait_ready("ksvc/split")
    revisions = platform.get("revisions", "-l", "serving.knative.dev/service=split")["items"]
    assert len(revisions) == 2, "a change of traffic makes no revision"
    platform.kubectl("delete", "ksvc/split")
