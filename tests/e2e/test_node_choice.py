"""Taints and labels of the node by kubectl: which pods get there, which stay, and what they say."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.e2e.platform import Platform, running_platform


def apply_pod(platform: Platform, name: str, **spec: object) -> None:
    container = {"name": "main", "image": "counter"}
    platform.apply(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
            }
        )
    )


def wait(platform: Platform, name: str, condition: str) -> None:
    platform.kubectl("wait", f"pod/{name}", f"--for={condition}", "--timeout=30s")


def message_of(platform: Platform, name: str) -> str:
    """What a pod that waits for a node says."""
    wait(platform, name, "condition=PodScheduled=False")
    described = platform.kubectl("describe", f"pod/{name}").stdout
    (condition,) = platform.get("pod", name)["status"]["conditions"]
    assert condition["reason"] == "Unschedulable"
    assert condition["message"] in described
    return str(condition["message"])


def test_a_tainted_and_labelled_node_chooses_its_pods(tmp_path: Path) -> None:
    bears = [{"key": "dedicated", "operator": "Exists"}]
    with running_platform(tmp_path) as platform:
        apply_pod(platform, "here")
        wait(platform, "here", "condition=Ready")
        platform.kubectl("taint", "nodes", "tidegate", "dedicated=gpu:NoSchedule")
        apply_pod(platform, "bearing", tolerations=bears)
        apply_pod(platform, "waiting")
        assert message_of(platform, "waiting").endswith("untolerated taint {dedicated: gpu}")
        wait(platform, "bearing", "condition=Ready")

        platform.kubectl("taint", "nodes", "tidegate", "dedicated=gpu:NoExecute")
        wait(platform, "here", "delete")
        assert platform.get("pod", "bearing")["status"]["phase"] == "Running"

        platform.kubectl("taint", "nodes", "tidegate", "dedicated-")
        wait(platform, "waiting", "condition=Ready")

        apply_pod(platform, "choosy", nodeSelector={"disk": "fast"})
        message = message_of(platform, "choosy")
        assert message.endswith("didn't match Pod's node affinity/selector")
        platform.kubectl("label", "node", "tidegate", "disk=fast")
        wait(platform, "choosy", "condition=Ready")
