"""Quantities are exact, whatever their suffix."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st

from tidegate.kube.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("500m", Fraction(1, 2)),
        ("1.5Gi", 3 * 2**29),
        ("123456789n", Fraction(123456789, 10**9)),
        ("2e3", 2000),
        ("1E", 10**18),
        ("1E2", 100),
        (".5", Fraction(1, 2)),
        ("-1k", -1000),
        (0.25, Fraction(1, 4)),
    ],
)
def test_a_quantity_is_its_number(text, value):
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "m", "1.2.3", "1 Gi", "1ki", "١", "1e9999", "0x10"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="no quantity"):
        parse_quantity(text)


@unhurried(deadline=None)
@given(st.integers(0, 10**12), st.sampled_from(["n", "u", "m", "", "k", "M", "Ki", "Mi", "Gi"]))
def test_a_suffix_scales(number, suffix):
    assert parse_quantity(f"{number}{suffix}") == number * parse_quantity(f"1{suffix}")
