"""Hooks, last words, init containers and sidecars: by real pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.node.running import READINESS, Stage, inside, main_of, waiting_of
from tidegate.kube.objects import Object, condition_of, is_condition_true
from tidegate.kube.resources import PODS


@pytest.fixture
def theatre(shell: Stage) -> Stage:
    return shell


def sh(script: str, **more: Any) -> Object:
    return {"command": ["sh", "-c", script], **more}


def command(script: str) -> Object:
    return {"exec": {"command": ["sh", "-c", script]}}


def terminated_of(pod: Object) -> Object:
    return main_of(pod)["state"].get("terminated") or {}


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (sh("printf told > /dev/termination-log; exit 3"), "told"),
        (sh("printf fine > /dev/termination-log"), "fine"),
        (sh("printf own > /mine; exit 1", terminationMessagePath="/mine"), "own"),
        (sh("echo last words; exit 1"), ""),
        (
            sh("echo first; echo last; exit 1", terminationMessagePolicy="FallbackToLogsOnError"),
            "first\nlast",
        ),
        (sh("echo fine", terminationMessagePolicy="FallbackToLogsOnError"), ""),
        (
            sh(
                "echo log; printf file > /dev/termination-log; exit 1",
                terminationMessagePolicy="FallbackToLogsOnError",
            ),
            "file",
        ),
    ],
)
async def test_termination_messages(theatre: Stage, container: Object, message: str) -> None:
    await theatre.create("a", container=container, restartPolicy="Never")
    pod = await theatre.until("a", terminated_of)
    assert terminated_of(pod).get("message", "") == message


async def test_a_pod_is_ready_after_its_post_start_hook(theatre: Stage) -> None:
    hook = command("until test -e $TMPDIR/go; do sleep 0.05; done; touch $TMPDIR/done")
    await theatre.create("a", container={"lifecycle": {"postStart": hook}})
    pod = await theatre.until("a", lambda p: "running" in main_of(p)["state"])
    assert not is_condition_true(pod, "Ready")
    uid = pod["metadata"]["uid"]
    place = theatre.path / "data" / "pods" / uid / "tmp"
    (place / "go").touch()
    await theatre.ready("a")
    assert (place / "done").exists()


async def test_a_failed_post_start_hook_ends_the_container(theatre: Stage) -> None:
    hook = {"lifecycle": {"postStart": command("echo broken; exit 4")}}
    await theatre.create("a", container=hook, restartPolicy="Never")
    await theatre.until("a", terminated_of)
    await theatre.event("FailedPostStartHook", "broken")


async def test_pre_stop_comes_before_the_signal(theatre: Stage) -> None:
    script = "trap 'test -e $TMPDIR/before && cp $TMPDIR/before /kept/both; exit' TERM; touch $TMPDIR/up; while :; do sleep 0.05; done"  # noqa: E501
    container = sh(
        script,
        lifecycle={"preStop": command("touch $TMPDIR/before")},
        readinessProbe={**command("test -e $TMPDIR/up"), "periodSeconds": 1},
        volumeMounts=[{"name": "kept", "mountPath": "/kept"}],
    )
    kept = theatre.path / "kept"
    kept.mkdir()
    volume = {"name": "kept", "hostPath": {"path": str(kept)}}
    await theatre.create("a", container=container, volumes=[volume])
    await theatre.ready("a")
    await theatre.delete("a")
    await theatre.gone("a")
    assert (kept / "both").exists()


async def test_init_containers_run_in_order_and_sidecars_beside(theatre: Stage) -> None:
    mount = {"volumeMounts": [{"name": "work", "mountPath": "/work"}]}

    def step(name: str, script: str, **more: Any) -> Object:
        return {"name": name, "image": "web", **sh(script), **mount, **more}

    side = step(
        "side",
        "printf side >> /work/order; touch /work/up; trap 'echo bye; exit 0' TERM;"
        " while :; do sleep 0.05; done",
        restartPolicy="Always",
        startupProbe={**command("test -e /work/up"), "periodSeconds": 1},
    )
    steps = [
        step("one", "sleep 0.2; printf one- >> /work/order"),
        side,
        step("two", "test -e /work/up && printf %s -two >> /work/order"),
    ]
    await theatre.create(
        "a",
        container={**READINESS, **mount},
        initContainers=steps,
        volumes=[{"name": "work", "emptyDir": {}}],
    )
    pod = await theatre.ready("a")
    assert await inside(pod, "open('/work/order').read()") == "one-side-two"
    states = {s["name"]: s["state"] for s in pod["status"]["initContainerStatuses"]}
    assert states["one"]["terminated"]["exitCode"] == 0
    assert "running" in states["side"]
    await theatre.delete("a")
    await theatre.gone("a")


async def test_a_pod_with_a_sidecar_completes(theatre: Stage) -> None:
    side = {"name": "side", "image": "web", **sh("sleep 600"), "restartPolicy": "Always"}
    await theatre.create("a", container=sh("exit 0"), initContainers=[side], restartPolicy="Never")
    pod = await theatre.until("a", lambda p: p["status"].get("phase") == "Succeeded")
    assert terminated_of(pod)["exitCode"] == 0


async def test_an_init_container_that_fails_for_good_fails_the_pod(theatre: Stage) -> None:
    bad = {"name": "bad", "image": "web", **sh("exit 7")}
    await theatre.create("a", initContainers=[bad], restartPolicy="Never")
    pod = await theatre.until("a", lambda p: p["status"].get("phase") == "Failed")
    assert waiting_of(pod)["reason"] == "PodInitializing"


async def test_a_pod_past_its_deadline_fails_and_is_not_started_again(theatre: Stage) -> None:
    side = {"name": "side", "image": "web", **sh("sleep 600"), "restartPolicy": "Always"}
    await theatre.create(
        "a",
        container=sh("sleep 600"),
        initContainers=[side],
        activeDeadlineSeconds=2,
        terminationGracePeriodSeconds=1,
    )
    pod = await theatre.until("a", lambda p: p["status"].get("phase") == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert pod["status"]["message"].startswith("Pod was active on the node longer")
    assert "terminated" in pod["status"]["initContainerStatuses"][0]["state"]
    assert terminated_of(pod)["exitCode"] in (137, 143)
    ready = condition_of(pod, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "PodFailed")
    await theatre.delete("a")
    await theatre.gone("a")


async def test_a_deadline_may_come_later(theatre: Stage) -> None:
    await theatre.create("a", container=sh("sleep 600"), terminationGracePeriodSeconds=1)
    await theatre.ready("a")
    await theatre.client.patch(
        PODS, "a", {"spec": {"activeDeadlineSeconds": 1}}, namespace="default"
    )
    pod = await theatre.until("a", lambda p: p["status"].get("phase") == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"


async def test_a_pod_behind_a_gate_says_so_and_starts_when_it_opens(theatre: Stage) -> None:
    made = await theatre.create("a", schedulingGates=[{"name": "example.com/wait"}])
    condition = condition_of(made, "PodScheduled")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "SchedulingGated")
    await theatre.client.patch(PODS, "a", {"spec": {"schedulingGates": None}}, namespace="default")
    pod = await theatre.ready("a")
    assert is_condition_true(pod, "PodScheduled")


async def test_the_downward_api_speaks_of_resources(theatre: Stage) -> None:
    def variable(name: str, resource: str, divisor: str = "0") -> Object:
        reference = {"resource": resource, "divisor": divisor}
        return {"name": name, "valueFrom": {"resourceFieldRef": reference}}

    container = {
        **READINESS,
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "250m"}},
        "env": [
            variable("BYTES", "limits.memory"),
            variable("MEBIBYTES", "limits.memory", "1Mi"),
            variable("CPUS", "requests.cpu"),
            variable("MILLIS", "requests.cpu", "1m"),
        ],
    }
    await theatre.create("a", container=container)
    pod = await theatre.ready("a")
    names = ("BYTES", "MEBIBYTES", "CPUS", "MILLIS")
    values = [await inside(pod, f"os.environ[{name!r}]") for name in names]
    assert values == [str(256 << 20), "256", "1", "250"]
    assert int(await inside(pod, "os.cpu_count()")) >= 1
