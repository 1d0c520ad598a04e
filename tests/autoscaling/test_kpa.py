"""KPA's arithmetic against Knative's formulas, and the policy in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.autoscaling.support import demand, settings
from tidegate.apis.autoscaler_config import AutoscalerConfig
from tidegate.apis.autoscaling import KPA_CLASS
from tidegate.autoscaling.policies import kpa
from tidegate.autoscaling.policies.buckets import DemandBuckets, weighted
from tidegate.autoscaling.policies.kpa import Averages, KpaState
from tidegate.autoscaling.policies.policy import KpaPolicy, MpaPolicy, Situation, policy_for

TEN = settings(concurrency=10)  # target 7
CALM = KpaState()


def _look(stable, panic=None, *, ready=1, state=CALM, config=TEN, now=1000.0):
    averages = Averages(stable, stable if panic is None else panic)
    return kpa.scale(state, config, averages, ready, now)


@pytest.mark.parametrize(
    ("stable", "ready", "want"),
    [(0, 1, 0), (7, 1, 1), (7.01, 2, 2), (50, 5, 8), (0.02, 1, 1), (7 * 0.1 * 10, 1, 1)],
)
def test_want_is_the_average_over_the_target(stable, ready, want):
    state, result = _look(stable, ready=ready)
    assert result.want == want
    assert state.panic_since is None


def test_a_step_down_is_bounded_by_the_rate():
    _, result = _look(0, ready=10)
    assert result.want == 5
    _, result = _look(0, ready=10, config=settings(concurrency=10, reachability="Unreachable"))
    assert result.want == 0


def test_a_step_up_is_bounded_by_the_rate():
    config = settings(concurrency=10, config=AutoscalerConfig(max_scale_up_rate=2))
    _, result = _look(700, 0, ready=3, config=config)
    assert result.want == 6


def test_panic_begins_at_twice_the_ready_pods_and_never_falls():
    state, result = _look(7, 27, ready=2)
    assert (state.panic_since, result.want) == (1000.0, 4)
    state, result = _look(7, 50, ready=2, state=state, now=1002.0)
    assert (state.panic_since, result.want) == (1002.0, 8)
    state, result = _look(7, 7, ready=8, state=state, now=1060.0)
    assert result.want == 8
    state, result = _look(7, 7, ready=8, state=state, now=1062.0)
    assert result.want == 8
    state, result = _look(7, 7, ready=8, state=state, now=1062.1)
    assert (state.panic_since, result.want) == (None, 4)


def test_below_the_threshold_there_is_no_panic():
    state, result = _look(7, 20, ready=2)
    assert (state.panic_since, result.want) == (None, 1)


def test_activation_scale():
    _, result = _look(1, config=settings(concurrency=10, activation_scale="4"))
    assert result.want == 4
    _, result = _look(0, config=settings(concurrency=10, activation_scale="4"))
    assert result.want == 0


def test_scale_down_delay_keeps_the_most_of_the_delay():
    config = settings(concurrency=10, scale_down_delay="10s")
    state, wants = KpaState(), []
    for now, stable in ((0, 40), (2, 20), (8, 20), (10, 20), (12, 7), (20, 7), (22, 7)):
        state, result = _look(stable, 0, ready=6, state=state, config=config, now=now)
        wants.append(result.want)
    assert wants == [6, 6, 6, 3, 3, 3, 3]


@pytest.mark.parametrize(("capacity", "expected"), [("0", 0), ("-1", -1), ("211", -169)])
def test_excess_burst_capacity(capacity, expected):
    config = settings(concurrency=10, target_burst_capacity=capacity)
    _, result = _look(8, 8, ready=5, config=config)
    assert result.excess_burst_capacity == expected


def test_a_restart_with_several_pods_is_in_panic_and_keeps_them():
    state = kpa.start(5, 100.0)
    state, result = _look(0, ready=5, state=state, now=150.0)
    assert result.want == 5
    _, result = _look(0, ready=5, state=state, now=160.1)
    assert result.want == 2


@given(
    stable=st.floats(0, 1000), panic=st.floats(0, 1000), ready=st.integers(0, 50),
    high=st.integers(1, 20),
)  # fmt: skip
def test_within_rates_and_monotone(stable, panic, ready, high):
    config = settings(
        concurrency=10, config=AutoscalerConfig(max_scale_up_rate=3, max_scale_down_rate=2)
    )
    capacity = max(1, ready)
    _, result = _look(stable, panic, ready=ready, config=config)
    assert capacity // 2 <= result.want <= 3 * capacity
    _, more = _look(stable + high, panic + high, ready=ready, config=config)
    assert more.want >= result.want


def test_concurrency_is_weighted_by_time():
    buckets = DemandBuckets()
    buckets.report(10, 0, 100.0, horizon=60)
    buckets.report(0, 0, 100.5, horizon=60)
    buckets.report(20, 0, 101.0, horizon=60)
    buckets.report(0, 0, 102.0, horizon=60)
    # Seconds 100 (5 on average), 101 (20) and 102 (none so far).
    assert buckets.concurrency(60, 102.0, "linear") == pytest.approx(25 / 3)
    assert buckets.concurrency(6, 104.5, "linear") == pytest.approx(25 / 5)
    assert buckets.concurrency(60, 200.0, "linear") == 0


def test_demand_lasts_until_the_next_report():
    buckets = DemandBuckets()
    buckets.report(4, 0, 10.0, horizon=60)
    assert buckets.concurrency(60, 30.0, "linear") == pytest.approx(4)
    assert buckets.load == 4


def test_the_first_request_after_a_pause_counts_at_once():
    buckets = DemandBuckets()
    buckets.report(0, 0, 0.0, horizon=60)
    buckets.report(1, 1, 500.2, horizon=60)
    assert buckets.concurrency(60, 500.2, "linear") == pytest.approx(1 / 60)
    assert buckets.rps(60, 500.2, "linear") == pytest.approx(1 / 60)


def test_rates_survive_a_restart_of_the_counter():
    buckets = DemandBuckets()
    buckets.report(0, 1000, 10.0, horizon=60)
    buckets.report(0, 1030, 10.5, horizon=60)
    buckets.report(0, 20, 11.5, horizon=60)
    assert buckets.rps(60, 12.0, "linear") == pytest.approx(25)


def test_exponential_weights_sum_to_one_over_the_window():
    assert weighted([1.0] * 60, 60) == pytest.approx(1, abs=1e-3)
    assert weighted([0.0] * 59 + [1.0], 60) == pytest.approx(0.2)
    assert weighted([1.0] * 6, 6) == pytest.approx(0.9999)


def _kpa(**annotations):
    annotations = {"class": KPA_CLASS, **annotations}
    return settings(concurrency=10, **annotations)


def _situation(config, *, present, ready=None, initialized=True):
    return Situation(config, initialized, present, present if ready is None else ready)


def test_a_request_for_a_revision_at_zero_is_answered_at_once():
    config = _kpa()
    policy = KpaPolicy(_situation(config, present=0), 0.0)
    idle = policy.decide(_situation(config, present=0), 0.0)
    assert (idle.desired, idle.look_again) == (0, None)
    policy.observe(demand(25, held=25), config, 100.3)
    assert policy.decide(_situation(config, present=0), 100.3).desired == 4


def test_the_number_is_looked_at_every_two_seconds():
    config = _kpa()
    policy = KpaPolicy(_situation(config, present=1), 0.0)
    policy.observe(demand(5), config, 0.0)
    first = policy.decide(_situation(config, present=1), 0.0)
    assert (first.desired, first.look_again) == (1, 2.0)
    policy.observe(demand(50), config, 0.5)
    assert policy.decide(_situation(config, present=1), 1.0).desired == 1
    assert policy.decide(_situation(config, present=1), 2.0).desired > 1


def test_to_zero_after_the_window_and_the_grace():
    config = _kpa()
    policy = KpaPolicy(_situation(config, present=0), 0.0)
    policy.observe(demand(5), config, 10.0)
    now, zero_at, inactive_at = 10.0, None, None
    stopped = False
    while now < 200 and zero_at is None:
        if now >= 20 and not stopped:
            policy.observe(demand(0), config, 20.0)
            stopped = True
        decision = policy.decide(_situation(config, present=1), now)
        if inactive_at is None and not decision.active:
            inactive_at = now
        if decision.desired == 0:
            zero_at = now
        now = min(decision.look_again or now + 1, now + 1)
    assert inactive_at == pytest.approx(80, abs=2)
    assert zero_at == pytest.approx(inactive_at + 30, abs=1)


def test_a_new_revision_stays_for_a_window_after_it_has_proved_itself():
    config = _kpa()
    policy = KpaPolicy(_situation(config, present=1, ready=0, initialized=False), 0.0)
    assert policy.decide(_situation(config, present=1, ready=0, initialized=False), 0).desired == 1
    assert policy.decide(_situation(config, present=1), 40.0).desired == 1
    assert policy.decide(_situation(config, present=1), 129.9).desired == 1
    assert policy.decide(_situation(config, present=0), 129.9).desired == 0
    assert policy.decide(_situation(config, present=1), 130.0).desired == 0


def test_each_class_has_its_policy():
    assert isinstance(policy_for(_situation(_kpa(), present=0), 0.0), KpaPolicy)
    assert isinstance(policy_for(_situation(TEN, present=0), 0.0), MpaPolicy)
    other = settings(**{"class": "theirs.example.com"})
    assert policy_for(_situation(other, present=0), 0.0) is None
