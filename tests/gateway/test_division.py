"""Places among gateways: never more than there are, nobody left out, nothing moved for nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.gateway.division import TURN_SECONDS, Share, give_up, quotas, take

_NUMBERS = st.integers(0, 40)
_CLUSTERS = st.tuples(
    st.integers(1, 8),
    st.integers(1, 5),
    st.lists(_NUMBERS, min_size=1, max_size=5),
)
_PLACES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 5))


class Cluster:
    """Gateways that give up and take, one after the other, without requests that take long."""

    def __init__(self, pods: int, limit: int, demands: list[int]) -> None:
        self.limit = limit
        self.pods = [f"p{number}" for number in range(pods)]
        self.demands = {f"g{number}": demand for number, demand in enumerate(demands)}
        self.held: dict[str, dict[str, int]] = {name: {} for name in self.demands}
        self.held["g0"] = dict.fromkeys(self.pods, limit)

    @property
    def totals(self) -> dict[str, int]:
        return {name: sum(places.values()) for name, places in self.held.items()}

    def quotas(self) -> dict[str, int]:
        totals = self.totals
        shares = [Share(name, demand, totals[name]) for name, demand in self.demands.items()]
        return quotas(len(self.pods) * self.limit, shares)

    def step(self) -> int:
        """Everyone acts once; returns how many places changed hands."""
        moved = 0
        for name in self.held:
            kept = give_up(self.held[name], self.quotas()[name], {}, {})
            free = {
                pod: self.limit
                - kept.get(pod, 0)
                - sum(places.get(pod, 0) for other, places in self.held.items() if other != name)
                for pod in self.pods
            }
            assert min(free.values()) >= 0
            now = take(kept, self.quotas()[name], free, self.limit)
            moved += sum(abs(now.get(pod, 0) - self.held[name].get(pod, 0)) for pod in self.pods)
            self.held[name] = now
        return moved


@given(
    st.integers(0, 40),
    st.lists(st.tuples(_NUMBERS, st.integers(0, 10), st.floats(0, 2)), min_size=1, max_size=6),
)
def test_quotas_never_exceed_what_there_is_and_leave_nobody_out(
    capacity: int, numbers: list[tuple[int, int, float]]
) -> None:
    shares = [Share(f"g{place}", *values) for place, values in enumerate(numbers)]
    found = quotas(capacity, shares)
    wanting = [share for share in shares if share.demand]
    assert found.keys() == {share.gateway for share in shares}
    assert min(found.values()) >= 0
    assert sum(found.values()) <= capacity
    served = [share for share in wanting if found[share.gateway]]
    assert len(served) == min(len(wanting), capacity)
    if sum(share.demand for share in shares) <= capacity:
        assert all(found[share.gateway] >= share.demand for share in shares)
        assert sum(found.values()) == capacity
    # The order in which gateways are known does not matter.
    assert quotas(capacity, shares[::-1]) == found


@given(_CLUSTERS)
def test_gateways_settle_and_nothing_moves_then(cluster: tuple[int, int, list[int]]) -> None:
    world = Cluster(*cluster)
    steps = 0
    while world.step():
        steps += 1
        assert steps < 10
    capacity = len(world.pods) * world.limit
    assert sum(world.totals.values()) == capacity or not any(world.demands.values())
    wanting = [name for name, demand in world.demands.items() if demand]
    if len(wanting) <= capacity:
        assert all(world.totals[name] >= 1 for name in wanting)


@given(_CLUSTERS, st.data())
def test_demand_that_the_places_still_serve_moves_nothing(
    cluster: tuple[int, int, list[int]], data: st.DataObject
) -> None:
    world = Cluster(*cluster)
    while world.step():
        pass
    for name, places in world.totals.items():
        # Below what it has, and above nothing.
        world.demands[name] = data.draw(st.integers(min(places, 1), places))
    # Who has nothing may get a place at hand.
    lack = sum(not places for places in world.totals.values())
    assert world.step() <= 2 * lack


@given(_PLACES, _NUMBERS, st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 6)))
def test_idle_places_go_first(held: dict[str, int], quota: int, loads: dict[str, int]) -> None:
    kept = give_up(held, quota, loads, {})
    assert sum(kept.values()) == min(quota, sum(held.values()))
    assert all(0 <= kept[pod] <= held[pod] for pod in held)
    idle_left = any(kept[pod] > loads.get(pod, 0) for pod in held)
    busy_gone = any(kept[pod] < min(loads.get(pod, 0), held[pod]) for pod in held)
    assert not (idle_left and busy_gone)


@given(_PLACES, _NUMBERS, st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5)))
def test_only_free_places_are_taken(held: dict[str, int], quota: int, free: dict[str, int]) -> None:
    after = take(held, quota, free, 5)
    gain = sum(after.values()) - sum(held.values())
    assert gain == max(0, min(quota - sum(held.values()), sum(free.values())))
    assert all(after[pod] - held.get(pod, 0) <= free.get(pod, 0) for pod in after)


def test_whole_pods_are_taken_before_parts() -> None:
    assert take({}, 4, {"a": 1, "b": 4, "c": 3}, 4) == {"b": 4}
    assert take({"c": 1}, 2, {"a": 1, "b": 4, "c": 3}, 4) == {"c": 2}


def test_what_is_being_given_up_already_goes_before_others_as_busy() -> None:
    assert give_up({"a": 1, "b": 1}, 1, {"a": 1, "b": 1}, {"a": 1, "b": 0}) == {"a": 1, "b": 0}


def test_gateways_take_turns_where_places_are_fewer() -> None:
    def who(first: float, second: float) -> dict[str, int]:
        return quotas(1, [Share("a", 3, 1, first), Share("b", 9, 0, second)])

    assert who(TURN_SECONDS / 2, 5.0) == {"a": 1, "b": 0}
    assert who(TURN_SECONDS, 0.1) == {"a": 0, "b": 1}


def test_places_follow_demand_above_capacity_and_stay_within_one_of_it() -> None:
    assert quotas(4, [Share("a", 31, 4), Share("b", 11, 0)]) == {"a": 3, "b": 1}
    assert quotas(4, [Share("a", 4, 2), Share("b", 2, 2)]) == {"a": 2, "b": 2}
