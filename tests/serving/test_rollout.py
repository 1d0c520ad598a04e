"""The arithmetic of gradual rollouts: whatever happens, the percents add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.serving.routes import rollout as rollouts
from tidegate.serving.routes.rollout import ConfigurationRollout, Share
from tidegate.serving.routes.traffic import Target, consolidate, groups


def latest(revision: str, percent: int = 100) -> rollouts.Rollout:
    return rollouts.goal_of({"": (Target(revision, percent, True, "", "hello"),)})


def shares(rollout: rollouts.Rollout) -> list[tuple[str, int]]:
    return [(share.revision, share.percent) for item in rollout for share in item.shares]


def test_the_first_state_is_the_goal() -> None:
    goal = latest("r1")
    assert rollouts.step(goal, (), now=0, duration=100) == goal


def test_a_rollout_without_duration_moves_all_at_once() -> None:
    moved = rollouts.step(latest("r2"), latest("r1"), now=0, duration=0)
    assert shares(moved) == [("r2", 100)]


def test_a_rollout_begins_with_one_percent_and_ends_within_its_duration() -> None:
    state = rollouts.step(latest("r2"), latest("r1"), now=1000, duration=60)
    assert shares(state) == [("r1", 99), ("r2", 1)]
    state = rollouts.confirmed(state, now=1002, duration=60)
    assert shares(state) == [("r1", 99), ("r2", 1)]
    seen = [1]
    while rollouts.in_progress(state):
        due = rollouts.next_due(state)
        assert due is not None
        state = rollouts.confirmed(state, now=due, duration=60)
        seen.append(state[0].shares[-1].percent)
        assert sum(percent for _, percent in shares(state)) == 100
    assert seen == sorted(seen)
    assert len(seen) <= 31, "steps of two seconds, as long as the first one took"
    assert due == pytest.approx(1062)
    assert shares(state) == [("r2", 100)]
    assert rollouts.next_due(state) is None


def test_before_its_time_a_step_does_not_happen() -> None:
    state = rollouts.step(latest("r2"), latest("r1"), now=0, duration=60)
    state = rollouts.confirmed(state, now=1, duration=60)
    assert rollouts.confirmed(state, now=1.5, duration=60) == state


def test_a_newer_revision_joins_a_running_rollout() -> None:
    state = rollouts.step(latest("r2"), latest("r1"), now=0, duration=60)
    state = rollouts.confirmed(state, now=1, duration=60)
    state = rollouts.confirmed(state, now=100, duration=60)
    older = shares(state)
    state = rollouts.step(latest("r3"), state, now=101, duration=60)
    assert shares(state)[0] == older[0]
    assert shares(state)[-1] == ("r3", 1)
    assert sum(percent for _, percent in shares(state)) == 100


def test_pinned_targets_are_not_rolled_out() -> None:
    pinned = groups((Target("r1", 100, False, "", "hello"),))
    assert rollouts.goal_of(pinned) == ()


def test_the_state_survives_its_annotation() -> None:
    state = rollouts.step(latest("r2"), latest("r1"), now=12.5, duration=60)
    state = rollouts.confirmed(state, now=13.5, duration=60)
    assert rollouts.load(rollouts.dump(state)) == state


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"configurations": [{"percent": 100}]}',
        '{"configurations": [{"configurationName": "a", "percent": 100, '
        '"revisions": [{"revisionName": "r", "percent": 7}]}]}',
    ],
)
def test_a_broken_annotation_counts_as_none(text: str) -> None:
    assert rollouts.load(text) == ()


def test_spread_shows_the_shares() -> None:
    members = (Target("r2", 80, True, "new", "hello"), Target("r0", 20, False, "", "hello"))
    state = (ConfigurationRollout("hello", "", 80, (Share("r1", 79), Share("r2", 1))),)
    shown = rollouts.spread("", members, state)
    assert [(t.revision, t.percent, t.tag) for t in shown] == [
        ("r1", 79, ""),
        ("r2", 1, "new"),
        ("r0", 20, ""),
    ]


events = st.lists(
    st.tuples(
        st.integers(0, 6),  # which revision is the latest
        st.integers(0, 100),  # its percent
        st.booleans(),  # whether the gateways have confirmed
        st.integers(0, 200),  # seconds later
    ),
    max_size=30,
)


@given(events=events, duration=st.integers(0, 300))
def test_percents_always_sum_to_100(
    events: list[tuple[int, int, bool, int]], duration: int
) -> None:
    now = 0.0
    state: rollouts.Rollout = ()
    for number, percent, confirmed, seconds in events:
        now += seconds
        targets = (
            Target(f"r{number}", percent, True, "", "hello"),
            Target("pinned", 100 - percent, False, "", "hello"),
        )
        members = groups(targets)
        state = rollouts.step(rollouts.goal_of(members), state, now=now, duration=duration)
        if confirmed:
            state = rollouts.confirmed(state, now=now, duration=duration)
        shown = consolidate(rollouts.spread("", members[""], state))
        assert sum(target.percent for target in shown) == 100
        assert all(target.percent > 0 for target in shown)
        assert len({target.revision for target in shown}) == len(shown)
        if percent > 1:
            assert f"r{number}" in {target.revision for target in shown}
        assert rollouts.load(rollouts.dump(state)) == state


@given(
    percent=st.integers(2, 100),
    duration=st.integers(1, 5000),
    took=st.floats(0, 100),
)
def test_every_rollout_ends_in_time(percent: int, duration: int, took: float) -> None:
    state = rollouts.step(latest("r2", percent), latest("r1", percent), now=0, duration=duration)
    now = took
    state = rollouts.confirmed(state, now=now, duration=duration)
    for _ in range(100):
        due = rollouts.next_due(state)
        if due is None:
            break
        now = due
        state = rollouts.confirmed(state, now=now, duration=duration)
    assert shares(state) == [("r2", percent)]
    assert now - took <= duration + 1e-6
