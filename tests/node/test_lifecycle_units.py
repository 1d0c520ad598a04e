"""The pure parts of the life cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.virtual_clock import VirtualClock
from tidegate.kube.objects import Object, condition_of
from tidegate.kube.waiting import within
from tidegate.node.images.manifest import ImagePort
from tidegate.node.lifecycle.asked_ports import neighbour_ports, ports_beside
from tidegate.node.lifecycle.backoff import BackOff
from tidegate.node.lifecycle.directory import PodDirectory, PodRecord
from tidegate.node.lifecycle.environment import (
    declared_ports,
    expand,
    port_variables,
    wanted_ports,
)
from tidegate.node.lifecycle.state import ContainerView, Running, Terminated, Waiting
from tidegate.node.lifecycle.status import pod_status, qos_class, unschedulable_status


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NOBODY)", "$(NOBODY)"),
        ("$A $(", "$A $("),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expanded


@given(st.text(st.characters(blacklist_characters="$")))
def test_text_without_references_stays(text: str) -> None:
    assert expand(text, {"A": "1"}) == text


SD = (ImagePort(container=7860, env="PORT"),)
PORTAL = (ImagePort(container=8080, env="PORT"), ImagePort(container=8888, env="PORT_8888"))


@pytest.mark.parametrize(
    ("own", "image", "expected"),
    [
        ((7860,), SD, {"PORT": "27860", "PORT_7860": "27860"}),
        ((), PORTAL, {"PORT": "28080", "PORT_8080": "28080", "PORT_8888": "28888"}),
        ((9000,), (), {"PORT": "29000", "PORT_9000": "29000"}),
        ((9000,), SD, {"PORT": "29000", "PORT_9000": "29000", "PORT_7860": "27860"}),
        (
            (8888, 8080),
            PORTAL,
            {"PORT": "28080", "PORT_8080": "28080", "PORT_8888": "28888"},
        ),
        ((), (), {}),
    ],
)
def test_port_variables(
    own: tuple[int, ...], image: tuple[ImagePort, ...], expected: dict[str, str]
) -> None:
    container = {"name": "main", "ports": [{"containerPort": port} for port in own]}
    real = {port: port + 20000 for port in declared_ports(container, image)}
    assert port_variables(container, image, real) == expected


@pytest.mark.parametrize(
    ("image", "value", "expected"),
    [
        (SD, "8882", {"PORT": "28882", "PORT_8882": "28882"}),
        ((), "8882", {"PORT": "28882", "PORT_8882": "28882"}),
        (
            PORTAL,
            "8882",
            {"PORT": "28882", "PORT_8882": "28882", "PORT_8888": "28888"},
        ),
        (SD, "later", {"PORT": "27860", "PORT_7860": "27860"}),
        (SD, "0", {"PORT": "27860", "PORT_7860": "27860"}),
    ],
)
def test_a_container_without_ports_listens_where_its_own_variable_says(
    image: tuple[ImagePort, ...], value: str, expected: dict[str, str]
) -> None:
    container = {"name": "side", "env": [{"name": "PORT", "value": value}]}
    real = {port: port + 20000 for port in declared_ports(container, image)}
    assert port_variables(container, image, real) == expected


def test_containers_know_the_ports_of_their_neighbours() -> None:
    real = {7860: 27860, 8882: 8882}
    expected = {"PORT": "27860", "PORT_7860": "27860", "PORT_8882": "8882"}
    assert port_variables({"name": "main"}, SD, real) == expected


def test_neighbours_are_called_by_their_number() -> None:
    main = {"name": "main", "ports": [{"containerPort": 8080}]}
    side = {"name": "side"}
    both = pod(containers=[main, side])
    assert neighbour_ports(both, side, [8080, 8882]) == {8882}
    assert neighbour_ports(both, main, [8080]) == set()
    assert neighbour_ports(pod(containers=[side]), side, [8882]) == set()


def test_containers_of_one_image_listen_apart() -> None:
    main = {"name": "main", "ports": [{"containerPort": 7860}]}
    sides = [
        {"name": "one"},
        {"name": "two"},
        {"name": "three", "ports": [{"containerPort": 7861}]},
    ]
    both = pod(containers=[main, *sides])
    found = [[port.container for port in ports_beside(both, c, SD)] for c in (main, *sides)]
    assert found[0] == found[3] == [7860]
    assert len({7860, 7861, *found[1], *found[2]}) == 4
    wanted, itself = wanted_ports(both, sides[0], SD)
    assert (wanted, itself) == (found[1], set()), "nobody knows this number"


@pytest.mark.parametrize(("policy", "expected"), [("Always", {8882}), (None, set())])
def test_init_containers_have_neighbours_when_they_stay(
    policy: str | None, expected: set[int]
) -> None:
    main = {"name": "main", "ports": [{"containerPort": 8080}]}
    first = {"name": "first", "restartPolicy": policy}
    assert (
        neighbour_ports(pod(containers=[main], initContainers=[first]), first, [8882]) == expected
    )


def pod(**spec: Any) -> Object:
    return {"metadata": {"name": "a"}, "spec": {"containers": [], **spec}}


ENDED = Terminated(1, 0, "Error", "", 1.0, 2.0, "process://1-1")
DONE = Terminated(0, 0, "Completed", "", 1.0, 2.0, "process://1-1")


def view(state: Any, **more: Any) -> ContainerView:
    return ContainerView("main", "web", state=state, **more)


@pytest.mark.parametrize(
    ("init", "containers", "phase"),
    [
        ([], [view(Waiting())], "Pending"),
        ([], [view(Waiting("ErrImagePull"))], "Pending"),
        ([], [view(Running(1.0))], "Running"),
        ([], [view(Running(1.0)), view(Waiting())], "Pending"),
        ([], [view(Waiting("CrashLoopBackOff"), last=ENDED)], "Running"),
        ([], [view(ENDED)], "Running"),
        ([], [view(ENDED, done=True)], "Failed"),
        ([], [view(DONE, done=True)], "Succeeded"),
        ([], [view(DONE, done=True), view(Running(1.0))], "Running"),
        ([view(Running(1.0))], [view(Waiting())], "Pending"),
        ([view(ENDED, done=True)], [view(Waiting())], "Failed"),
        ([view(DONE, done=True)], [view(Running(1.0))], "Running"),
    ],
)
def test_phases(init: list[ContainerView], containers: list[ContainerView], phase: str) -> None:
    status = pod_status(pod(), init, containers, started=1.0, terminating=False, now=5.0)
    assert status["phase"] == phase


def test_a_pod_that_is_ended_is_not_ready_whatever_its_containers_say() -> None:
    views = [view(Running(1.0), ready=True, started=True)]
    for terminating, expected in ((False, "True"), (True, "False")):
        status = pod_status(pod(), [], views, started=1.0, terminating=terminating, now=5.0)
        ready = condition_of({"status": status}, "Ready")
        assert ready is not None
        assert ready["status"] == expected
        assert status["containerStatuses"][0]["ready"] is not terminating


def test_readiness_gates_must_hold_too() -> None:
    gated = {**pod(readinessGates=[{"conditionType": "x/drained"}]), "status": {"conditions": []}}
    views = [view(Running(1.0), ready=True)]

    def ready() -> Object | None:
        status = pod_status(gated, [], views, started=1.0, terminating=False, now=5.0)
        return condition_of({"status": status}, "Ready")

    assert ready() is not None
    assert ready()["reason"] == "ReadinessGatesNotReady"  # type: ignore[index]
    gated["status"]["conditions"] = [{"type": "x/drained", "status": "True"}]
    assert ready()["status"] == "True"  # type: ignore[index]


@pytest.mark.parametrize(
    ("state", "done", "expected"),
    [
        (Waiting(), False, "False"),
        (Waiting("ImagePullBackOff"), False, "True"),
        (Running(1.0), False, "True"),
        (Waiting("CrashLoopBackOff"), False, "True"),
        (Terminated(0, 0, "Completed", "", 1.0, 2.0, "c"), True, "False"),
    ],
)
def test_when_a_pod_is_ready_to_start_containers(state, done: bool, expected: str) -> None:
    status = pod_status(
        pod(), [], [view(state, done=done)], started=1.0, terminating=False, now=5.0
    )
    condition = condition_of({"status": status}, "PodReadyToStartContainers")
    assert condition is not None
    assert condition["status"] == expected


def test_a_pod_without_a_place_says_why() -> None:
    status = unschedulable_status(pod(), "out of stock", now=5.0)
    scheduled = condition_of({"status": status}, "PodScheduled")
    assert scheduled is not None
    assert (scheduled["status"], scheduled["message"]) == ("False", "out of stock")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
        (
            [{"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}],
            "Burstable",
        ),
        ([{"limits": {"nvidia.com/gpu": "1"}}], "BestEffort"),
    ],
)
def test_quality_of_service(resources: list[Object], expected: str) -> None:
    containers = [{"name": "main", "resources": need} for need in resources]
    assert qos_class(pod(containers=containers)) == expected


def test_back_off_doubles_up_to_five_minutes_and_forgets_a_good_run() -> None:
    back_off = BackOff(free=1)
    assert [back_off.next_delay() for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert back_off.next_delay(ran=600) == 0
    assert back_off.next_delay() == 10


async def test_waits_end_early_or_on_time() -> None:
    import asyncio

    clock = VirtualClock()
    event = asyncio.Event()
    waiting = asyncio.ensure_future(within(10, event.wait(), clock=clock))
    await clock.advance(9)
    assert not waiting.done()
    await clock.advance(1)
    assert await waiting is False
    event.set()
    assert await within(10, event.wait(), clock=clock) is True


def test_what_a_pod_leaves_is_found_again(tmp_path: Path) -> None:
    directory = PodDirectory(tmp_path, "uid-1")
    record = PodRecord("default", "a", "uid-1", "2-4Gi", 0.5, 123.0, 30.0)
    assert directory.record() is None
    directory.create(record)
    assert directory.record() == record
    assert (directory.path.stat().st_mode & 0o777) == 0o700
    for number in (0, 1, 2, 10):
        directory.attempt("main", number).mkdir(parents=True)
    directory.root("main").mkdir()
    assert directory.attempts("main") == [0, 1, 2, 10]
    directory.prune("main")
    assert directory.attempts("main") == [2, 10]
    (directory.path / "pod.json").write_text("{")
    assert directory.record() is None
    directory.remove()
    assert not directory.path.exists()
