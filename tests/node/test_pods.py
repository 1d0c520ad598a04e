"""Pods on a real node, from their creation to their end."""

from __future__ import annotations

# The tests read small files that pods have written.
# ruff: noqa: ASYNC240
import asyncio
import base64
import contextlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.node.images import make_image
from tests.node.running import (
    READINESS,
    Control,
    Stage,
    ask,
    hasty,
    main_of,
    pid_of,
    port_of,
    seen_by,
    waiting_of,
)
from tidegate.kube.errors import BadRequest, NotFound
from tidegate.kube.objects import Object, is_condition_true
from tidegate.kube.resources import CONFIG_MAPS, NODES, SECRETS
from tidegate.node.images import garbage, registry


async def test_a_pod_runs_gets_ready_and_is_deleted(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a", container=READINESS)
    pod = await theatre.ready("a")
    answer = await ask(pod, "/hello")
    assert answer["path"] == "/hello"
    assert answer["pid"] == pid_of(pod)
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"] == "127.0.0.1"
    await theatre.delete("a")
    await theatre.gone("a")
    with pytest.raises(OSError, match=r"refused|Connect"):
        await ask(pod)
    assert main_of(pod)["restartCount"] == 0
    assert port_of(pod) >= 20000


async def test_what_a_pod_says_of_itself_and_what_its_program_gets(theatre: Stage) -> None:
    theatre.start()
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"},
        "data": {"COLOUR": "green"},
    }
    await theatre.client.create(CONFIG_MAPS, config)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": "default"},
        "data": {"key": base64.b64encode(b"sesame").decode()},
    }
    await theatre.client.create(SECRETS, secret)
    container = {
        **READINESS,
        "args": ["--port=$(PORT)", "--literal=$$(PORT)", "--unknown=$(NOBODY)"],
        "command": ["python3", "main.py"],
        "ports": [{"containerPort": 8080, "name": "http1"}],
        "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "A_"}],
        "env": [
            {"name": "PORT", "value": "8080"},
            {"name": "GREETING", "value": "hello from $(A_COLOUR)"},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
            {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "volumeMounts": [{"name": "conf", "mountPath": "/etc/conf"}],
    }
    await theatre.create(
        "a", container=container, volumes=[{"name": "conf", "configMap": {"name": "settings"}}]
    )
    pod = await theatre.ready("a")
    answer = await ask(pod)
    env, port = answer["env"], port_of(pod)
    assert env["PORT"] == env["PORT_8080"] == str(port)
    assert answer["argv"][1:] == [f"--port={port}", "--literal=$(PORT)", "--unknown=$(NOBODY)"]
    assert env["GREETING"] == "hello from green"
    assert (env["KEY"], env["WHO"], env["LABEL"], env["NODE"]) == ("sesame", "a", "web", "tidegate")
    assert (env["HOSTNAME"], env["KUBERNETES_SERVICE_PORT"]) == ("a", "6443")
    account = seen_by(pod, env["SERVICE_ACCOUNT_DIR"])
    assert (account / "token").read_text() == "token-of-default-default"
    assert stat.S_IMODE((account / "token").stat().st_mode) == 0o644
    assert (account / "ca.crt").read_text() == "authority"
    assert (account / "namespace").read_text() == "default"
    assert seen_by(pod, "/etc/conf/COLOUR").read_text() == "green"
    assert (answer["name"], Path(answer["cwd"]).name) == ("__main__", "rootfs")
    assert Path(env["HOME"]).is_dir()
    assert pod["metadata"]["annotations"]["k8s.aliyun.com/eci-instance-spec"] == "2-4Gi"
    for reason in ("Scheduled", "Pulling", "Pulled", "Created", "Started"):
        await theatre.event(reason)


async def test_status_of_a_pod_without_probe(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a")
    pod = await theatre.ready("a")
    status = main_of(pod)
    assert status["started"] is True
    assert status["state"]["running"]["startedAt"]
    assert status["imageID"].startswith("web@sha256:")
    kinds = {c["type"]: c["status"] for c in pod["status"]["conditions"]}
    assert kinds == {
        "PodScheduled": "True",
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "True",
        "Ready": "True",
        "tidegate.dev/Startup": "True",
    }


async def test_an_unknown_image_says_what_to_do_and_is_used_when_it_is_known(
    theatre: Stage,
) -> None:
    theatre.start()
    reference = "registry.example.com/lab/model@sha256:1234"
    await theatre.create("a", container={"image": reference, **READINESS})

    def waits(reason: str) -> Callable[[Object], bool]:
        return lambda p: waiting_of(p).get("reason") == reason

    pod = await theatre.until("a", waits("ErrImagePull"))
    message = waiting_of(pod)["message"]
    assert reference in message
    assert f"tidegate image add DIRECTORY --alias {reference}" in message
    assert pod["status"]["phase"] == "Pending"
    await theatre.until("a", waits("ImagePullBackOff"))
    registry.add(theatre.path / "data", theatre.images / "web", [reference])
    pod = await theatre.ready("a")
    assert (await ask(pod))["path"] == "/"


async def test_a_container_that_ends_is_started_again_then_backed_off(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a", container={"command": ["sh", "-c", "echo dying; exit 3"]})
    pod = await theatre.until("a", lambda p: waiting_of(p).get("message"))
    status = main_of(pod)
    assert waiting_of(pod)["reason"] == "CrashLoopBackOff"
    assert "back-off 10s restarting failed container=main" in waiting_of(pod)["message"]
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert status["restartCount"] == 1
    await theatre.event("BackOff", "Back-off restarting failed container")
    await theatre.delete("a")
    await theatre.gone("a")


@pytest.mark.parametrize(
    ("code", "policy", "phase"),
    [(0, "Never", "Succeeded"), (4, "Never", "Failed"), (0, "OnFailure", "Succeeded")],
)
async def test_pods_that_are_not_started_again_end(
    theatre: Stage, code: int, policy: str, phase: str
) -> None:
    control = theatre.start()
    command = ["sh", "-c", f"exit {code}"]
    await theatre.create("a", container={"command": command}, restartPolicy=policy)
    pod = await theatre.until("a", lambda p: p["status"]["phase"] not in ("Pending", "Running"))
    assert pod["status"]["phase"] == phase
    assert main_of(pod)["state"]["terminated"]["exitCode"] == code
    assert main_of(pod)["ready"] is False
    await theatre.api.eventually(lambda: not any(u.running for u in control.node.usage()))
    await theatre.delete("a")
    await theatre.gone("a")


async def test_init_containers_come_first(theatre: Stage) -> None:
    theatre.start()
    init = {"name": "first", "image": "web", "command": ["sh", "-c", "echo x > $HOME/made"]}
    main = {"command": ["sh", "-c", "cat $HOME/made && sleep 1000"]}
    await theatre.create("a", container=main, initContainers=[init])
    pod = await theatre.ready("a")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert pod["status"]["initContainerStatuses"][0]["ready"] is True


async def test_a_pod_that_is_deleted_is_unready_at_once_and_may_finish(theatre: Stage) -> None:
    make_image(
        theatre.images,
        "slow",
        program="import signal, time\n"
        "def stop(*_):\n    print('finishing'); time.sleep(1); print('done'); raise SystemExit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('up')\nwhile True: time.sleep(1)\n",
    )
    control = theatre.start()
    await theatre.create("a", container={"image": "slow"})
    await theatre.ready("a")
    await logged(control, "a", b"up")
    following = asyncio.create_task(collect(control, "a", follow=True))
    await theatre.delete("a")
    pod = await theatre.until("a", lambda p: not is_condition_true(p, "Ready"))
    assert main_of(pod)["state"].get("running")
    assert b"done" in await following
    await theatre.gone("a")
    await theatre.event("Killing")


async def test_a_program_that_will_not_end_is_killed_after_the_grace(theatre: Stage) -> None:
    control = theatre.start()
    command = [
        "python3",
        "-c",
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf')\nwhile True: time.sleep(1)",
    ]
    await theatre.create("a", container={"command": command}, terminationGracePeriodSeconds=1)
    pod = await theatre.ready("a")
    await logged(control, "a", b"deaf")
    began = asyncio.get_running_loop().time()
    await theatre.delete("a")
    await theatre.gone("a")
    assert 0.9 < asyncio.get_running_loop().time() - began < 4
    assert not Path(f"/proc/{pid_of(pod)}").exists()


async def test_a_failed_liveness_probe_restarts_the_container(theatre: Stage) -> None:
    theatre.start()
    probe = {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2}
    await theatre.create("a", container={**READINESS, "livenessProbe": probe})
    pod = await theatre.ready("a")
    broken = Path((await ask(pod))["env"]["TMPDIR"]) / "broken"
    broken.touch()
    again = await theatre.until("a", lambda p: main_of(p)["restartCount"] == 1)
    broken.unlink()
    assert pid_of(again) != pid_of(pod)
    await theatre.event(
        "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"
    )


async def test_without_grace_an_unhealthy_container_is_killed_at_once(theatre: Stage) -> None:
    theatre.start()
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(1000)"
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    await theatre.create(
        "a",
        container={"command": ["python3", "-c", deaf], "livenessProbe": probe},
        terminationGracePeriodSeconds=0,
    )
    await theatre.until("a", lambda p: main_of(p)["restartCount"] == 1)


async def test_exec_probes_run_in_the_containers_environment(theatre: Stage) -> None:
    theatre.start()
    probe = {"exec": {"command": ["sh", "-c", 'test "$COLOUR" = green']}, "periodSeconds": 1}
    container = {"readinessProbe": probe, "env": [{"name": "COLOUR", "value": "green"}]}
    await theatre.create("a", container=container)
    await theatre.ready("a")


@hasty
async def test_missing_configuration_is_named_and_waited_for(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a", container={"envFrom": [{"configMapRef": {"name": "later"}}]})
    pod = await theatre.until("a", lambda p: waiting_of(p).get("message"))
    waiting = waiting_of(pod)
    assert waiting["reason"] == "CreateContainerConfigError"
    assert 'configmap "later" not found' in waiting["message"]
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "later", "namespace": "default"},
        "data": {},
    }
    await theatre.client.create(CONFIG_MAPS, config)
    await theatre.ready("a")


@hasty
@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"configMap": {"name": "later"}}, 'configmap "later" not found'),
        ({"secret": {"secretName": "later"}}, 'secret "later" not found'),
    ],
)
async def test_a_volume_that_cannot_be_mounted_yet_is_told_by_an_event(
    theatre: Stage, source: dict[str, Any], problem: str
) -> None:
    theatre.start()
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    await theatre.create("a", container=mount, volumes=[{"name": "v", **source}])
    event = await theatre.event("FailedMount")
    assert event["message"] == f'MountVolume.SetUp failed for volume "v" : {problem}'
    assert event["type"] == "Warning"
    pod = await theatre.until("a", waiting_of)
    assert waiting_of(pod) == {"reason": "ContainerCreating"}
    await theatre.until_counted(event, 2)
    resource = CONFIG_MAPS if "configMap" in source else SECRETS
    later = {"metadata": {"name": "later", "namespace": "default"}}
    await theatre.client.create(resource, later)
    await theatre.ready("a")
    assert (await theatre.event("Pulling"))["count"] == 1


async def test_an_image_that_goes_while_its_pod_waits_is_pulled_again(theatre: Stage) -> None:
    theatre.start()
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    volume = {"name": "v", "configMap": {"name": "later"}}
    await theatre.create("a", container=mount, volumes=[volume])
    await theatre.event("FailedMount")
    (copy,) = (theatre.path / "data/images").glob("*/rootfs")
    garbage.remove(copy.parent)
    later = {"metadata": {"name": "later", "namespace": "default"}}
    await theatre.client.create(CONFIG_MAPS, later)
    pod = await theatre.ready("a")
    assert main_of(pod)["restartCount"] == 0


async def test_a_cordoned_node_takes_only_pods_that_tolerate_it(theatre: Stage) -> None:
    await theatre.client.create(
        NODES, {"metadata": {"name": "tidegate"}, "spec": {"unschedulable": True}}
    )
    theatre.start()
    await theatre.create("a")
    await theatre.event("FailedScheduling", "1 node(s) were unschedulable")
    key = "node.kubernetes.io/unschedulable"
    await theatre.create("b", tolerations=[{"key": key, "operator": "Exists"}])
    await theatre.ready("b")
    assert "nodeName" not in (await theatre.get("a"))["spec"]
    await theatre.client.patch(NODES, "tidegate", {"spec": {"unschedulable": False}})
    await theatre.ready("a")


async def test_a_pod_waits_for_a_spec_in_stock(theatre: Stage, tmp_path: Path) -> None:
    table = tmp_path / "specs.toml"
    table.write_text(
        'currency = "USD"\ndefault = "2-4Gi"\n'
        "[per_hour]\nvcpu = 1.0\ngib = 0.5\nstock = 1\n"
        '[types."ecs.small"]\nvcpu = 1\nmemory_gib = 1\ngpus = 0\nprice = 9.0\nstock = 1\n'
    )
    theatre.options["spec_table"] = table
    theatre.start()
    wish = {"k8s.aliyun.com/eci-use-specs": "ecs.small, 2-4Gi"}
    for name, spec, price in (("a", "ecs.small", "9"), ("b", "2-4Gi", "4")):
        await theatre.create(name, annotations=wish)
        annotations = (await theatre.ready(name))["metadata"]["annotations"]
        assert annotations["k8s.aliyun.com/eci-instance-spec"] == spec
        assert annotations["tidegate.dev/price-per-hour"] == price
    await theatre.create("c", annotations=wish)
    await theatre.event("FailedScheduling", "out of stock: ecs.small, 2-4Gi")
    pod = await theatre.until("c", lambda p: p["status"].get("conditions"))
    assert pod["status"]["conditions"][0]["reason"] == "Unschedulable"
    await theatre.delete("a")
    await theatre.ready("c")


async def test_the_meter_runs_from_the_preparation_to_the_end(theatre: Stage) -> None:
    control = theatre.start()
    await theatre.create("a")
    await theatre.ready("a")
    [usage] = control.node.usage()
    assert (usage.pod, usage.spec, usage.running) == ("a", "2-4Gi", True)
    await theatre.delete("a")
    await theatre.gone("a")
    [ended] = control.node.usage()
    assert not ended.running
    assert ended.seconds >= usage.seconds > 0
    assert ended.cost == pytest.approx(ended.seconds * ended.price / 3600)
    await control.die()
    [kept] = theatre.start().node.usage()
    assert kept == ended


async def collect(control: Control, pod: str, **options: Any) -> bytes:
    return b"".join([data async for data in control.node.logs.stream("default", pod, **options)])


async def logged(control: Control, pod: str, text: bytes) -> None:
    """Wait until the pod has written `text`."""
    async with (
        asyncio.timeout(10),
        contextlib.aclosing(control.node.logs.stream("default", pod, follow=True)) as output,
    ):
        async for data in output:
            if text in data:
                return
    raise AssertionError(f"the pod ended without {text!r}")


async def test_logs_of_now_and_of_before(theatre: Stage) -> None:
    control = theatre.start()
    script = (
        'n=$(cat $HOME/n 2>/dev/null || echo 1); echo $((n+1)) > $HOME/n; echo "start $n";'
        " echo two; test $n = 1 || sleep 1000"
    )
    await theatre.create("a", container={"command": ["sh", "-c", script]})
    await theatre.until(
        "a", lambda p: main_of(p)["restartCount"] == 1 and main_of(p)["state"].get("running")
    )
    following = control.node.logs.stream("default", "a", follow=True)
    seen = b""
    async for data in following:
        seen += data
        if seen.count(b"\n") == 2:
            break
    await following.aclose()
    assert seen == b"start 2\ntwo\n"
    assert await collect(control, "a", previous=True) == b"start 1\ntwo\n"
    assert await collect(control, "a", tail_lines=1) == b"two\n"
    assert await collect(control, "a", since_seconds=3600) == b"start 2\ntwo\n"
    assert await collect(control, "a", limit_bytes=3) == b"sta"
    stamped = await collect(control, "a", timestamps=True)
    assert stamped.splitlines()[1].endswith(b"Z two")
    with pytest.raises(NotFound):
        await collect(control, "nobody")
    with pytest.raises(BadRequest, match="container other is not valid"):
        await collect(control, "a", container="other")
