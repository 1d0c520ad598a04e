"""Cold starts by phase: the arithmetic, and the way from the API's objects to the metric."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.observability.support import LABELS, observed, samples
from tests.support.objects import pod_autoscaler
from tests.support.requests import DEMO, Answer
from tidegate.apis.autoscaling import POD_AUTOSCALERS
from tidegate.kube.clock import rfc3339_micro
from tidegate.kube.objects import Object
from tidegate.kube.resources import PODS
from tidegate.kube.startup import Startup, startup_condition, startup_of
from tidegate.observability.cold_starts import PHASES, phases

HELD = 1_700_000_000.0
STARTUP = Startup(HELD + 0.05, HELD + 0.25, HELD + 0.5, HELD + 1.5)
times = st.floats(HELD - 100, HELD + 100)


def test_each_phase_is_the_time_since_the_one_before() -> None:
    found = phases(HELD, HELD + 1.625, HELD + 0.03125, STARTUP)

    expected = (0.03125, 0.01875, 0.2, 0.25, 1.0, 0.125)
    assert list(found.values()) == pytest.approx(expected, abs=1e-6)


def test_what_was_done_before_the_request_came_took_none_of_its_time() -> None:
    found = phases(HELD + 0.4, HELD + 1.6, HELD + 0.02, STARTUP)

    assert found["decide"] == found["schedule"] == found["image"] == 0
    assert found["start"] == pytest.approx(0.1, abs=1e-6)


@given(times, st.floats(0, 100), times, st.lists(times, min_size=4, max_size=4))
def test_phases_sum_to_the_time_held_whatever_the_clocks_say(
    since: float, held: float, left_zero: float, steps: list[float]
) -> None:
    found = phases(since, since + held, left_zero, Startup(*steps))

    assert sum(found.values()) == pytest.approx(held, abs=1e-5)
    assert min(found.values()) >= 0


@given(st.lists(times, min_size=4, max_size=4))
def test_the_condition_keeps_microseconds(steps: list[float]) -> None:
    startup = Startup(*steps)
    read = startup_of({"status": {"conditions": [startup_condition(startup)]}})

    assert read is not None
    assert [read.scheduled, read.image, read.started, read.ready] == [
        pytest.approx(step, abs=2e-6) for step in steps
    ]


@pytest.mark.parametrize("message", ["", "{}", "[]", '{"scheduled": 1}', "null"])
def test_a_condition_that_says_something_else_says_nothing(message: str) -> None:
    condition = {**startup_condition(STARTUP), "message": message}
    assert startup_of({"status": {"conditions": [condition]}}) is None


async def test_a_held_request_is_counted_by_phase(tmp_path: Path) -> None:
    async with observed(tmp_path) as (api, gateway, observability):
        client = api.client()
        for resource, obj, status in (
            (PODS, _pod(), {"conditions": [startup_condition(STARTUP)]}),
            (
                POD_AUTOSCALERS,
                pod_autoscaler("demo-00001"),
                {"annotations": {"tidegate.dev/left-zero-at": rfc3339_micro(HELD + 0.02)}},
            ),
        ):
            await client.create(resource, obj)
            await client.patch(
                resource,
                obj["metadata"]["name"],
                {"status": status},
                namespace="default",
                subresource="status",
            )
        gateway.answer(Answer(pod="demo-a", cold_start=1.6, held_since=HELD), Answer(pod="demo-a"))
        await api.eventually(lambda: observability.cold_starts.last(DEMO) is not None)
        found = samples(await observability.metrics())

    def value(phase: str, part: str, **more: str) -> float:
        labels = {**LABELS, "phase": phase, "service_name": "", "configuration_name": "", **more}
        return found[(f"tidegate_cold_start_phase_seconds_{part}", frozenset(labels.items()))]

    assert [value(phase, "count") for phase in PHASES] == [1] * 6
    assert value("decide", "sum") == pytest.approx(0.02, abs=1e-5)
    assert value("ready", "bucket", le="0.5") == 0
    assert value("ready", "bucket", le="1.0") == 1
    assert sum(value(phase, "sum") for phase in PHASES) == pytest.approx(1.6)


def _pod() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "demo-a",
            "namespace": "default",
            "labels": {"serving.knative.dev/revision": "demo-00001"},
        },
        "spec": {"containers": [{"name": "user-container", "image": "hello:1"}]},
    }
