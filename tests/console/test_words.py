"""Numbers as people read them, and the states of pods and services."""

from __future__ import annotations

import pytest

from tests.console.world import Used, conditions, pod, service
from tidegate.console.costs import bills, revision_of
from tidegate.console.logs import plain
from tidegate.console.states import pod_state, service_state
from tidegate.console.words import cost, duration, milliseconds, rate, share
from tidegate.kube.objects import Key


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.9, "0 s"),
        (59, "59 s"),
        (200, "3 min 20 s"),
        (3000, "50 min"),
        (18_720, "5 h 12 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.84, "0.8 ms"), (42.4, "42 ms"), (1254, "1.25 s"), (123_456, "123 s")],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.016, "0.02"), (12.34, "12.3"), (12_345.6, "12,346")]
)
def test_rates(value: float, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (1.0, "100 %"), (0.99999, "99.99 %"), (0.5, "50.0 %"), (0.0, "0.0 %")],
)
def test_a_failure_is_never_rounded_away(value: float | None, text: str) -> None:
    assert share(value) == text


def test_costs() -> None:
    assert (cost(None), cost(0.01234), cost(1234.5)) == ("–", "0.0123", "1,234.50")


def test_states_of_pods() -> None:
    ready = pod("demo", "demo-00001", "abcde")
    assert pod_state(ready).word == "Ready"
    draining = {**ready, "metadata": {**ready["metadata"]}}
    draining["metadata"]["annotations"] = {"tidegate.dev/drain": "true"}
    assert pod_state(draining).word == "Draining"
    ending = {**ready, "metadata": {**ready["metadata"], "deletionTimestamp": "now"}}
    assert pod_state(ending).word == "Terminating"
    assert pod_state(pod("demo", "r", "a", ready=False)).word == "Starting"
    creating = pod(
        "d", "r", "a", ready=False, phase="Pending", waiting={"reason": "PodInitializing"}
    )
    assert pod_state(creating).word == "Pending"
    crashing = pod("d", "r", "a", ready=False, waiting={"reason": "CrashLoopBackOff"})
    assert (pod_state(crashing).word, pod_state(crashing).tone) == ("CrashLoopBackOff", "bad")
    assert pod_state({"metadata": {}}).word == "Pending"


def test_states_of_services() -> None:
    assert service_state(service("a")).word == "Ready"
    assert service_state(service("a", ready="Unknown")).word == "Deploying"
    assert service_state(service("a", ready="False")).tone == "bad"
    # Ready, but not yet for what was asked last.
    changed = service("a")
    changed["metadata"]["generation"] = 2
    assert service_state(changed).word == "Deploying"
    assert service_state({"metadata": {}}).word == "Deploying"
    named = {"metadata": {}, "status": {"conditions": conditions(("Ready", "False", "", ""), at=0)}}
    assert service_state(named).word == "Failed"


def test_bills_of_services_and_revisions_with_names_of_their_own() -> None:
    usages = [
        Used("default", "demo-00002-deployment-5d8f7c6b9d-abcde", 3600, 1.2, True),
        Used("default", "blue-deployment-5d8f7c6b9d-abcde", 1800, 0.6, False),
        Used("default", "portal-5d8f7c6b9d-abcde", 3600, 5.0, True),
    ]
    found = bills(usages, {Key("default", "blue"): "demo"})
    assert set(found) == {Key("default", "demo")}
    bill = found[Key("default", "demo")]
    assert (bill.pods, bill.seconds, bill.cost) == (2, 5400, pytest.approx(1.8))
    assert bill.per_hour == pytest.approx(1.2)
    assert revision_of("portal-5d8f7c6b9d-abcde") == ""


def test_logs_without_terminal_codes() -> None:
    assert plain(b"\x1b[1;32mok\x1b[0m\x07\r\n") == "ok\n"
    assert plain(b"  1%\r 50%\r100%\n") == "100%\n"
    assert plain(b"\x1b]0;title\x07caf\xc3\xa9 \xff\n") == "café �\n"
