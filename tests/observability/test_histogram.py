"""Quantiles against exact ones."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.observability.histogram import RELATIVE_ERROR, Histogram

TIMES = st.lists(st.integers(min_value=0, max_value=80_000_000), min_size=1, max_size=300)
SHARES = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=5).map(sorted)


def of(times: list[int]) -> Histogram:
    histogram = Histogram()
    for time in times:
        histogram.add(time)
    return histogram


def is_near(found: float, exact: float) -> bool:
    return math.isclose(found, exact, rel_tol=RELATIVE_ERROR * 1.000001, abs_tol=1e-9)


@given(TIMES, SHARES)
def test_quantiles_are_within_one_percent(times: list[int], shares: list[float]) -> None:
    exact = sorted(times)
    found = of(times).quantiles(shares)
    for share, value in zip(shares, found, strict=True):
        assert is_near(value, exact[math.floor(share * (len(exact) - 1))])


@given(TIMES, TIMES)
def test_merging_is_as_if_counted_together(one: list[int], two: list[int]) -> None:
    merged = of(one)
    merged.merge(of(two))
    assert merged.count == len(one) + len(two)
    assert merged.quantiles((0.1, 0.5, 0.99)) == of(one + two).quantiles((0.1, 0.5, 0.99))


@given(TIMES)
def test_packing_loses_nothing(times: list[int]) -> None:
    histogram = of(times)
    again = Histogram.unpack(histogram.pack())
    assert again.count == histogram.count
    assert again.quantiles((0, 0.5, 1)) == histogram.quantiles((0, 0.5, 1))


@given(st.lists(st.integers(min_value=0, max_value=50), max_size=200))
def test_counts_below_short_bounds_are_exact(times: list[int]) -> None:
    bounds = (0, 1, 5, 10, 20, 40, 49)
    assert of(times).at_most(bounds) == [sum(t <= bound for t in times) for bound in bounds]


@given(TIMES)
def test_counts_below_long_bounds_err_by_one_percent_at_most(times: list[int]) -> None:
    bounds = (100, 1000, 5000, 100_000, 10_000_000)
    for bound, found in zip(bounds, of(times).at_most(bounds), strict=True):
        assert (
            sum(t <= bound * 0.97 for t in times) <= found <= sum(t <= bound * 1.03 for t in times)
        )


def test_nothing_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().quantiles((0.5, 0.9)) == []
    assert Histogram.unpack(Histogram().pack()).count == 0


@pytest.mark.parametrize(("time", "shown"), [(-1, 0.0), (0, 0.0), (10**12, 86_400_000)])
def test_times_out_of_range_are_taken_to_its_ends(time: int, shown: float) -> None:
    assert is_near(of([time]).quantile(0.5) or 0.0, shown)


def test_size_depends_on_the_spread_and_not_on_the_number() -> None:
    histogram = of([time for time in range(500, 2000) for _ in range(20)])
    assert histogram.count == 30_000
    assert len(histogram.pack()) < 1024
