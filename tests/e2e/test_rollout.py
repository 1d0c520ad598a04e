"""`kubectl rollout` on real pods: history, undo, pause, restart, and the bounds of a rollout."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.e2e.platform import Platform

NAME = "deploy/shop"
CAUSE = "kubernetes.io/change-cause"


def deployment(version: str, *, replicas: int = 4, load: str = "0.3") -> str:
    container = {
        "name": "main",
        "image": "counter",
        "env": [
            {"name": "VERSION", "value": version},
            {"name": "LOAD_SECONDS", "value": load},
        ],
        "ports": [{"containerPort": 8080, "name": "web"}],
        "readinessProbe": {"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 1},
    }
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "annotations": {CAUSE: f"version {version}"}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "shop"}},
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
                "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
                },
            },
        }
    )


def settled(platform: Platform) -> None:
    platform.kubectl("rollout", "status", NAME, "--timeout=60s", timeout=90)


def version_of(platform: Platform) -> str:
    spec = platform.get("deploy", "shop")["spec"]["template"]["spec"]
    return spec["containers"][0]["env"][0]["value"]


def history(platform: Platform) -> dict[str, str]:
    lines = platform.kubectl("rollout", "history", NAME).stdout.splitlines()
    assert lines[:2] == ["deployment.apps/shop ", "REVISION  CHANGE-CAUSE"]
    return dict(line.split(None, 1) for line in lines[2:] if line)


@pytest.fixture(scope="module")
def shop(platform: Platform) -> Iterator[Platform]:
    platform.apply(deployment("one"))
    settled(platform)
    platform.apply(deployment("two"))
    settled(platform)
    yield platform
    platform.kubectl("delete", NAME)


def test_history_has_every_revision_and_its_cause(shop: Platform) -> None:
    assert history(shop) == {"1": "version one", "2": "version two"}
    details = shop.kubectl("rollout", "history", NAME, "--revision=1").stdout
    assert "VERSION:\tone" in details
    missing = shop.kubectl("rollout", "history", NAME, "--revision=9", check=False)
    assert "unable to find the specified revision" in missing.stderr


def test_undo_goes_back_and_to_a_named_revision(shop: Platform) -> None:
    first_sets = {item["metadata"]["uid"] for item in shop.get("rs", "-l", "app=shop")["items"]}
    undone = shop.kubectl("rollout", "undo", NAME)
    assert undone.stdout == "deployment.apps/shop rolled back\n"
    settled(shop)
    assert version_of(shop) == "one"
    assert history(shop) == {"2": "version two", "3": "version one"}
    shop.kubectl("rollout", "undo", NAME, "--to-revision=2")
    settled(shop)
    assert version_of(shop) == "two"
    sets = shop.get("rs", "-l", "app=shop")["items"]
    assert {item["metadata"]["uid"] for item in sets} == first_sets
    assert sorted(item["spec"]["replicas"] for item in sets) == [0, 4]
    lost = shop.kubectl("rollout", "undo", NAME, "--to-revision=77", check=False)
    assert "unable to find specified revision 77 in history" in lost.stderr


def test_a_paused_rollout_waits_and_goes_on(shop: Platform) -> None:
    shop.kubectl("rollout", "pause", NAME)
    before = len(shop.get("rs", "-l", "app=shop")["items"])
    shop.kubectl("set", "env", NAME, "EXTRA=1")
    refused = shop.kubectl("rollout", "undo", NAME, check=False)
    assert "cannot rollback a paused deployment" in refused.stderr
    assert len(shop.get("rs", "-l", "app=shop")["items"]) == before
    shop.kubectl("rollout", "resume", NAME)
    settled(shop)
    assert len(shop.get("rs", "-l", "app=shop")["items"]) == before + 1
    condition = {c["type"]: c["reason"] for c in shop.get("deploy", "shop")["status"]["conditions"]}
    assert condition["Progressing"] == "NewReplicaSetAvailable"


def watched(platform: Platform) -> Generator[dict[str, Any]]:
    """The Deployment's status, now and after every change."""
    watch = platform.start_kubectl(
        *("get", NAME, "--watch", "-o", "json"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout is not None
    try:
        text = ""
        for line in watch.stdout:
            text += line
            if line == "}\n":
                yield json.loads(text)["status"]
                text = ""
    finally:
        watch.terminate()
        watch.communicate(timeout=30)


def is_rolled_out(status: dict[str, Any], generation: int) -> bool:
    numbers = [status.get(f"{name}eplicas") for name in ("r", "updatedR", "availableR")]
    return status["observedGeneration"] >= generation and numbers == [4, 4, 4]


def pod_names(platform: Platform) -> set[str]:
    pods = platform.get("pods", "-l", "app=shop")["items"]
    return {p["metadata"]["name"] for p in pods if not p["metadata"].get("deletionTimestamp")}


def test_a_restart_stays_within_surge_and_unavailable(shop: Platform) -> None:
    before = pod_names(shop)
    generation = shop.get("deploy", "shop")["metadata"]["generation"]
    states = watched(shop)
    seen = [next(states)]
    shop.kubectl("rollout", "restart", NAME)
    while not is_rolled_out(seen[-1], generation + 1):
        seen.append(next(states))
    states.close()
    # Four wanted, one more and one less allowed.
    assert max(state["replicas"] for state in seen) == 5
    assert min(state["availableReplicas"] for state in seen) >= 3
    after = pod_names(shop)
    assert len(after) == 4
    assert not after & before
    template = shop.get("deploy", "shop")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


def test_a_rollout_that_cannot_go_on_says_so_and_is_undone(shop: Platform) -> None:
    """What served before goes on serving while the new pods fail."""
    broken = json.loads(deployment("broken"))
    broken["spec"]["progressDeadlineSeconds"] = 3
    broken["spec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": "EXIT_CODE", "value": "7"}
    )
    shop.apply(json.dumps(broken))
    stuck = shop.kubectl("rollout", "status", NAME, "--timeout=60s", check=False, timeout=90)
    assert 'deployment "shop" exceeded its progress deadline' in stuck.stderr
    assert shop.get("deploy", "shop")["status"]["availableReplicas"] >= 3
    shop.kubectl("rollout", "undo", NAME)
    settled(shop)
    assert version_of(shop) == "two"
