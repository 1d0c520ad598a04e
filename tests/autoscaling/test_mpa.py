"""MPA in virtual time, with exact durations, and its properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.autoscaling.support import settings
from tidegate.autoscaling.policies import mpa
from tidegate.autoscaling.policies.decision import pods_for

EXACT = settings(target_utilization_percentage="100", max_scale="10")


class Run:
    """A policy fed at given instants."""

    def __init__(self, config, *, present=0, initialized=True):
        self.config = config
        self.initialized = initialized
        self.present = present
        self.state = mpa.start(present, 0.0)

    def at(self, now, total=None):
        if total is not None:
            need = mpa.need_of(total, self.config)
            self.state = mpa.observe(self.state, need, self.config, now)
        decision = mpa.decide(
            self.state, self.config, now, initialized=self.initialized, present=self.present
        )
        self.present = decision.desired
        return decision


@pytest.mark.parametrize(
    ("total", "capacity", "utilization", "pods"),
    [
        (0, 1, 1.0, 0),
        (5, 1, 1.0, 5),
        (7, 10, 0.7, 1),
        (8, 10, 0.7, 2),
        (21, 3, 0.7, 10),
        (1, 100, 0.7, 1),
        (70, 100, 0.7, 1),
        (71, 100, 0.7, 2),
    ],
)
def test_pods_for_is_exact(total, capacity, utilization, pods):
    assert pods_for(total, capacity, utilization) == pods


def test_up_at_once_and_down_a_window_after_the_fall():
    run = Run(EXACT)
    assert run.at(100, 5).desired == 5
    assert run.at(110, 8).desired == 8
    fallen = run.at(120, 2)
    assert fallen.desired == 8
    assert fallen.look_again == 180
    assert run.at(179.9).desired == 8
    assert run.at(180).desired == 2
    assert run.at(180).look_again is None


def test_steps_of_a_fall_end_each_at_its_own_time():
    run = Run(EXACT)
    run.at(0, 9)
    run.at(10, 6)
    run.at(20, 3)
    assert [run.at(t).desired for t in (69, 70, 79, 80, 200)] == [9, 6, 6, 3, 3]
    assert run.at(65).look_again == 70
    assert run.at(75).look_again == 80


def test_a_burst_within_the_window_finds_the_pods_of_the_one_before():
    run = Run(EXACT)
    run.at(0, 10)
    run.at(5, 0)
    run.at(60, 4)
    assert run.at(64.9).desired == 10
    assert run.at(65).desired == 4


def test_the_last_pod_stays_for_the_grace():
    run = Run(EXACT)
    run.at(0, 3)
    run.at(10, 0)
    at_window = run.at(70)
    assert (at_window.desired, at_window.active, at_window.look_again) == (1, False, 100)
    assert run.at(99.9).desired == 1
    assert run.at(100).desired == 0
    assert run.at(100).look_again is None


def test_a_longer_grace_brings_no_pod_back_that_has_gone():
    run = Run(settings(scale_to_zero_pod_retention_period="1s"))
    run.at(0, total=1)
    run.at(1, total=0)
    assert run.at(200).desired == 0
    run.config = settings(scale_to_zero_pod_retention_period="1h")
    assert run.at(201).desired == 0


def test_retention_counts_when_it_is_longer_than_the_grace():
    run = Run(settings(scale_to_zero_pod_retention_period="2m"))
    run.at(0, 1)
    run.at(10, 0)
    assert run.at(189.9).desired == 1
    assert run.at(190).desired == 0


def test_the_scale_down_delay_is_added_to_the_window():
    run = Run(settings(scale_down_delay="30s", target_utilization_percentage="100"))
    run.at(0, 5)
    run.at(10, 1)
    assert run.at(99.9).desired == 5
    assert run.at(100).desired == 1


def test_activation_scale_counts_while_there_is_demand():
    run = Run(settings(activation_scale="4"))
    assert run.at(0, 1).desired == 4
    run.at(1, 0)
    assert run.at(60.9).desired == 4
    assert run.at(61).desired == 1


def test_the_initial_scale_holds_until_it_was_reached():
    run = Run(settings(initial_scale="3"), initialized=False)
    assert run.at(0).desired == 3
    run.initialized = True
    run.state = mpa.remember(run.state, 3, 20)
    assert run.at(79.9).desired == 3
    assert run.at(80).desired == 1
    assert run.at(110).desired == 0


def test_after_a_start_what_is_there_stays_for_a_window():
    run = Run(EXACT, present=6)
    assert run.at(0, 1).desired == 6
    assert run.at(59.9).desired == 6
    assert run.at(60).desired == 1


def test_nothing_starts_where_nothing_was():
    run = Run(EXACT)
    assert run.at(0).desired == 0
    assert run.at(0).look_again is None


def test_minimum_and_maximum_hold():
    run = Run(settings(min_scale="2", max_scale="4", target_utilization_percentage="100"))
    assert run.at(0).desired == 2
    assert run.at(1, 50).desired == 4
    run.at(2, 0)
    assert run.at(1000).desired == 2


samples = st.lists(
    st.tuples(st.floats(0, 50, allow_nan=False), st.integers(0, 300)), min_size=1, max_size=30
)


@given(
    samples=samples,
    concurrency=st.integers(1, 20),
    utilization=st.integers(1, 100),
    low=st.integers(0, 5),
    high=st.integers(5, 50),
    present=st.integers(0, 20),
)
def test_bounds_hold_and_need_is_always_met(samples, concurrency, utilization, low, high, present):
    config = settings(
        concurrency=concurrency,
        target_utilization_percentage=str(utilization),
        min_scale=str(low),
        max_scale=str(high),
    )
    run = Run(config, present=present)
    now = 0.0
    for pause, total in samples:
        now += pause
        decision = run.at(now, total)
        assert low <= decision.desired <= high
        assert decision.desired >= min(high, math.ceil(total / concurrency))
        if decision.look_again is not None:
            assert decision.look_again > now


@given(
    first=samples,
    extra=st.lists(st.integers(0, 50), min_size=30, max_size=30),
    pause=st.floats(0, 200, allow_nan=False),
)
def test_more_demand_never_gives_fewer_pods(first, extra, pause):
    less, more = Run(EXACT), Run(EXACT)
    now = 0.0
    for (gap, total), add in zip(first, extra, strict=False):
        now += gap
        assert more.at(now, total + add).desired >= less.at(now, total).desired
    assert more.at(now + pause).desired >= less.at(now + pause).desired


@given(samples=samples)
def test_between_looks_nothing_changes_by_itself(samples):
    run = Run(EXACT)
    now = 0.0
    for pause, total in samples:
        now += pause
        run.at(now, total)
    for _ in range(100):
        decision = run.at(now)
        if decision.look_again is None:
            break
        assert run.at((now + decision.look_again) / 2).desired == decision.desired
        now = decision.look_again
    assert run.at(now + 1e6).desired == run.at(now).desired
