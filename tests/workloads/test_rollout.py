"""The arithmetic of a rollout, by examples of Kubernetes and by properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st

from tidegate.workloads.deployments.rollout import (
    Replicas,
    Strategy,
    grow_new,
    share_proportionally,
    shrink_old,
    strategy_of,
)


def _deployment(replicas, **rolling):
    return {
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        }
    }


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", Strategy(10, 3, 2)),
        (4, "25%", "25%", Strategy(4, 1, 1)),
        (1, "25%", "25%", Strategy(1, 1, 0)),
        (3, 0, 0, Strategy(3, 0, 1)),
        (3, "0%", "10%", Strategy(3, 0, 1)),
        (2, 0, 5, Strategy(2, 0, 2)),
        (0, "25%", "25%", Strategy(0, 0, 0)),
    ],
)
def test_strategy_resolves_percentages(replicas, surge, unavailable, expected):
    assert (
        strategy_of(_deployment(replicas, maxSurge=surge, maxUnavailable=unavailable)) == expected
    )


def test_recreate_allows_all_to_be_missing():
    deployment = {"spec": {"replicas": 3, "strategy": {"type": "Recreate"}}}
    assert strategy_of(deployment) == Strategy(3, 0, 3)


def test_replicas_default_to_one():
    assert strategy_of({"spec": {}}).replicas == 1


def test_new_grows_by_the_surge_only():
    strategy = Strategy(10, 3, 2)
    assert grow_new(strategy, Replicas("new", 0, 0), [Replicas("old", 10, 10)]) == 3
    assert grow_new(strategy, Replicas("new", 3, 0), [Replicas("old", 8, 8)]) == 5


def test_unhealthy_old_replicas_go_first():
    strategy = Strategy(10, 3, 2)
    old = [Replicas("a", 8, 8, created=1), Replicas("b", 2, 0, created=2)]
    shrunk = shrink_old(strategy, Replicas("new", 3, 0), old)
    assert shrunk == {"b": 0}


def test_a_lagging_status_does_not_shrink_twice():
    # The old set was just shrunk from 4 to 3; its status still counts 4 available.
    strategy = Strategy(4, 1, 0)
    shrunk = shrink_old(strategy, Replicas("new", 1, 1), [Replicas("old", 3, 4)])
    assert shrunk == {}


@unhurried(deadline=None)
@given(
    replicas=st.integers(1, 50),
    surge=st.integers(0, 10),
    unavailable=st.integers(0, 10),
    old_sizes=st.lists(st.integers(0, 20), min_size=1, max_size=3),
)
def test_a_rollout_of_ready_pods_ends_within_its_bounds(replicas, surge, unavailable, old_sizes):
    unavailable = min(unavailable, replicas)
    if not surge and not unavailable:
        unavailable = 1
    strategy = Strategy(replicas, surge, unavailable)
    total = sum(old_sizes)
    old = [Replicas(f"old{i}", n, n, created=i) for i, n in enumerate(old_sizes)]
    new = Replicas("new", 0, 0, created=99)
    for _ in range(4 * (replicas + total) + 4):
        grown = grow_new(strategy, new, old)
        assert grown + sum(rs.wanted for rs in old) <= max(strategy.max_total, total)
        new = Replicas("new", grown, new.available, created=99)
        sizes = shrink_old(strategy, new, old)
        before = new.available + sum(rs.available for rs in old)
        old = [
            Replicas(rs.name, size, min(rs.available, size), rs.created)
            for rs in old
            for size in [sizes.get(rs.name, rs.wanted)]
        ]
        after = new.available + sum(rs.available for rs in old)
        assert after >= min(strategy.min_available, before)
        new = Replicas("new", new.wanted, new.wanted, created=99)
    assert new.wanted == replicas
    assert all(rs.wanted == 0 for rs in old)


@unhurried(deadline=None)
@given(
    replicas=st.integers(0, 60),
    surge=st.integers(0, 10),
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4),
)
def test_proportional_shares_add_up(replicas, surge, sizes):
    strategy = Strategy(replicas, surge, 0)
    active = [Replicas(f"rs{i}", n, n, created=i) for i, n in enumerate(sizes)]
    shares = share_proportionally(strategy, active, dict.fromkeys(("rs0", "rs1"), sum(sizes)))
    assert sum(shares.values()) == strategy.max_total
    assert all(share >= 0 for share in shares.values())


def test_proportional_shares_keep_the_ratio():
    strategy = Strategy(20, 0, 0)
    active = [Replicas("old", 8, 8, created=1), Replicas("new", 2, 2, created=2)]
    shares = share_proportionally(strategy, active, {"old": 10, "new": 10})
    assert shares == {"old": 16, "new": 4}
