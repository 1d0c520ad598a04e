"""What the node owes its pods when something of the platform dies."""

# The tests read small files.

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.node.running import (
    READINESS,
    Stage,
    ask,
    hasty,
    main_of,
    pid_of,
    port_of,
)
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.errors import InternalFault
from tidegate.kube.objects import annotations_of, is_condition_true, name_of
from tidegate.kube.resources import PODS
from tidegate.node.runtime.contract import Launch
from tidegate.node.runtime.process.runtime import ProcessContainer, ProcessRuntime

# Does not end on SIGTERM.
STUBBORN = {
    "command": [
        "python3",
        "-c",
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
    ]
}


async def test_pods_outlive_the_control_plane_and_are_adopted(theatre: Stage) -> None:
    first = theatre.start()
    await theatre.create("a", container=READINESS)
    before = await theatre.ready("a")
    [metered] = first.node.usage()
    await first.die()
    assert (await ask(before))["pid"] == pid_of(before)

    version = before["metadata"]["resourceVersion"]
    async with theatre.client.watch(PODS, resource_version=version) as events:
        second = theatre.start()
        await theatre.api.eventually(lambda: any(u.running for u in second.node.usage()))
        # When a pod that comes after it is ready, all has been said of the one adopted.
        await theatre.create("b", container=READINESS)
        async for event in events:
            ready = is_condition_true(event.object, "Ready")
            if name_of(event.object) == "a":
                assert ready
            elif ready:
                break
    after = await theatre.get("a")
    assert pid_of(after) == pid_of(before)
    assert port_of(after) == port_of(before)
    assert main_of(after)["restartCount"] == 0
    [usage] = [usage for usage in second.node.usage() if usage.pod == "a"]
    assert usage.started == metered.started
    await theatre.delete("a")
    await theatre.gone("a")


async def test_a_pod_is_adopted_whatever_its_annotations_say(theatre: Stage) -> None:
    first = theatre.start()
    await theatre.create("a", container=READINESS)
    before = await theatre.ready("a")
    await first.die()
    strange = {"tidegate.dev/started-at": "whenever", "tidegate.dev/gpus": "²"}
    await theatre.client.patch(
        PODS, "a", {"metadata": {"annotations": strange}}, namespace="default"
    )
    second = theatre.start()
    after = await theatre.until(
        "a", lambda p: annotations_of(p)["tidegate.dev/started-at"] != "whenever"
    )
    assert pid_of(after) == pid_of(before)
    [usage] = second.node.usage()
    said = parse_rfc3339(annotations_of(after)["tidegate.dev/started-at"])
    assert abs(said - usage.started) < 1


async def test_adopted_pods_keep_their_ports_and_new_ones_get_others(theatre: Stage) -> None:
    first = theatre.start()
    await theatre.create("a", container=READINESS)
    before = await theatre.ready("a")
    await first.die()
    theatre.start()
    await theatre.create("b", container=READINESS)
    assert port_of(await theatre.ready("b")) != port_of(before)


async def test_a_pod_that_ended_meanwhile_is_started_again_with_its_exit_known(
    theatre: Stage,
) -> None:
    first = theatre.start()
    await theatre.create("a", container={**READINESS, "env": [{"name": "EXIT_CODE", "value": "9"}]})
    before = await theatre.ready("a")
    await first.die()
    os.kill(pid_of(before), signal.SIGTERM)
    theatre.start()
    after = await theatre.until(
        "a", lambda p: main_of(p)["restartCount"] == 1 and is_condition_true(p, "Ready")
    )
    assert main_of(after)["lastState"]["terminated"]["exitCode"] == 9
    assert port_of(after) == port_of(before)


async def test_a_pod_deleted_meanwhile_is_ended(theatre: Stage) -> None:
    first = theatre.start()
    await theatre.create("a", container=READINESS)
    await theatre.create("b", container=READINESS)
    graceful, forced = await theatre.ready("a"), await theatre.ready("b")
    await first.die()
    await theatre.delete("a")
    await theatre.delete("b", grace_period_seconds=0)
    theatre.start()
    await theatre.gone("a")
    for pod in (graceful, forced):
        path = Path(f"/proc/{pid_of(pod)}")
        await theatre.api.eventually(lambda path=path: not path.exists())
    directories = theatre.path / "data" / "pods"
    await theatre.api.eventually(lambda: not list(directories.iterdir()))


async def test_pods_outlive_their_template_and_new_ones_get_another(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a", container=READINESS)
    before = await theatre.ready("a")
    template = parent_of(pid_of(before))
    os.kill(template, signal.SIGKILL)
    assert (await ask(before))["pid"] == pid_of(before)
    await theatre.create("b", container=READINESS)
    other = await theatre.ready("b")
    assert parent_of(pid_of(other)) not in (template, os.getpid())
    os.kill(pid_of(before), signal.SIGKILL)
    after = await theatre.until("a", lambda p: main_of(p)["restartCount"] == 1)
    assert main_of(after)["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    await theatre.ready("a")


async def test_a_killed_pod_is_started_again_at_once(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a", container=READINESS)
    before = await theatre.ready("a")
    os.kill(pid_of(before), signal.SIGKILL)
    after = await theatre.until(
        "a", lambda p: main_of(p)["restartCount"] == 1 and is_condition_true(p, "Ready"), 5
    )
    terminated = main_of(after)["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["signal"]) == (137, 9)


async def test_template_and_pods_killed_together_leave_a_working_node(theatre: Stage) -> None:
    first = theatre.start()
    await theatre.create("a", container=READINESS)
    before = await theatre.ready("a")
    template = parent_of(pid_of(before))
    await first.die()
    for pid in (template, pid_of(before)):
        os.kill(pid, signal.SIGKILL)
    theatre.start()
    await theatre.until(
        "a", lambda p: main_of(p)["restartCount"] == 1 and is_condition_true(p, "Ready")
    )


async def test_the_end_of_the_platform_ends_pods_and_templates(theatre: Stage) -> None:
    control = theatre.start()
    await theatre.create("a", container=READINESS)
    pod = await theatre.ready("a")
    template = parent_of(pid_of(pod))
    await control.node.stop_pods()
    await control.die()
    await theatre.api.eventually(lambda: not Path(f"/proc/{pid_of(pod)}").exists())
    await theatre.api.eventually(lambda: not is_running(template))
    assert not any(usage.running for usage in control.node.usage())
    # As if the platform had been down for longer than since then.
    old = {"metadata": {"annotations": {"tidegate.dev/started-at": "2020-01-01T00:00:00Z"}}}
    await theatre.client.patch(PODS, "a", old, namespace="default")
    second = theatre.start()
    again = await theatre.until(
        "a", lambda p: main_of(p)["restartCount"] == 1 and is_condition_true(p, "Ready")
    )
    [running, ended] = second.node.usage()
    assert running.running
    said = annotations_of(again)["tidegate.dev/started-at"]
    assert abs(parse_rfc3339(said) - running.started) < 1
    assert running.started >= ended.started + ended.seconds


async def test_the_platform_can_be_ended_after_its_control_plane_has_died(theatre: Stage) -> None:
    control = theatre.start()
    await theatre.create("a", container=READINESS)
    await theatre.create("b", container=STUBBORN)
    pods = [await theatre.ready("a"), await theatre.ready("b")]
    template = parent_of(pid_of(pods[0]))
    await control.die()
    node, _ = theatre.build()
    await node.stop_pods(grace=0.5)
    for pid in (*map(pid_of, pods), template):
        await theatre.api.eventually(lambda pid=pid: not is_running(pid))
    assert [usage.running for usage in node.usage()] == [False, False]


async def test_who_cannot_wait_for_the_grace_need_not(theatre: Stage) -> None:
    control = theatre.start()
    await theatre.create("a", container=STUBBORN)
    pod = await theatre.ready("a")
    await theatre.api.eventually(lambda: is_stubborn(pid_of(pod)))
    await control.die()
    node, _ = theatre.build()
    at_once = asyncio.Event()
    stopping = asyncio.create_task(node.stop_pods(grace=3600.0, at_once=at_once))
    await asyncio.wait([stopping], timeout=0.5)
    assert is_running(pid_of(pod))
    at_once.set()
    async with asyncio.timeout(30):
        await stopping
    assert not is_running(pid_of(pod))


async def test_what_a_container_started_ends_with_it(theatre: Stage) -> None:
    theatre.start()
    command = ["sh", "-c", "sleep 1000 & echo $! > $HOME/child; exec sleep 1000"]
    await theatre.create("a", container={"command": command}, restartPolicy="Never")
    pod = await theatre.ready("a")
    home = next((theatre.path / "data" / "pods").iterdir()) / "home"
    await theatre.api.eventually(
        lambda: bool((home / "child").exists() and (home / "child").read_text())
    )
    child = int((home / "child").read_text())
    os.kill(parent_of(pid_of(pod)), signal.SIGKILL)
    os.kill(pid_of(pod), signal.SIGKILL)
    await theatre.until("a", lambda p: p["status"]["phase"] == "Failed")
    await theatre.api.eventually(lambda: not is_running(child))


async def test_a_second_start_is_warm(theatre: Stage) -> None:
    theatre.start()
    await theatre.create("a", container=READINESS)
    pod = await theatre.ready("a")
    template = parent_of(pid_of(pod))
    await theatre.delete("a")
    await theatre.gone("a")
    await theatre.create("b", container=READINESS)
    assert parent_of(pid_of(await theatre.ready("b"))) == template


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_stubborn(pid: int) -> bool:
    """Whether the process has come to ignore SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    return bool(ignored >> (signal.SIGTERM - 1) & 1)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@hasty
async def test_a_worker_that_fails_begins_anew(
    theatre: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ProcessRuntime.start
    failures = [InternalFault("the machine is broken")]

    async def fail_once(self: ProcessRuntime, launch: Launch) -> ProcessContainer:
        if failures:
            raise failures.pop()
        return await start(self, launch)

    monkeypatch.setattr(ProcessRuntime, "start", fail_once)
    theatre.start()
    await theatre.create("a", container=READINESS)
    pod = await theatre.ready("a")
    assert not failures
    assert main_of(pod)["restartCount"] == 0
    assert (await ask(pod))["pid"] == pid_of(pod)


async def test_a_pod_deleted_before_it_has_a_place_leaves_nothing(theatre: Stage) -> None:
    control = theatre.start()
    await theatre.create("a", annotations={"k8s.aliyun.com/eci-use-specs": "ecs.nosuch"})
    await theatre.event("FailedScheduling", "unknown spec 'ecs.nosuch'")
    await theatre.delete("a")
    await theatre.gone("a")
    assert control.node.usage() == []
    assert not list((theatre.path / "data").glob("pods/*"))


async def test_many_pods_at_once(theatre: Stage) -> None:
    theatre.start()
    names = [f"p{number}" for number in range(10)]
    for name in names:
        await theatre.create(name, container=READINESS)
    pods = [await theatre.ready(name) for name in names]
    assert len({port_of(pod) for pod in pods}) == len({pid_of(pod) for pod in pods}) == 10
    for name in names:
        await theatre.delete(name)
    for name in names:
        await theatre.gone(name)
    directories = theatre.path / "data" / "pods"
    await theatre.api.eventually(lambda: not list(directories.iterdir()))
