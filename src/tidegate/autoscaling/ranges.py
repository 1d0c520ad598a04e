"""Parsers of the texts of scaling annotations, each with the range that it takes.

A parser raises ValueError where it cannot use a text.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.apis.durations import parse_duration
from tidegate.apis.parsing import MAX_INT32


def number(low: float, high: float = float("inf")) -> Callable[[str], float]:
    """A parser of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{text!r} is no number") from None
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not between {low:g} and {high:g}")
        return value

    return parse


def integer(low: int, high: int = MAX_INT32) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is no whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not between {low} and {high}")
        return value

    return parse


def seconds(low: float, high: float, *, whole: bool = False) -> Callable[[str], float]:
    """A parser of durations from `low` to `high` seconds."""

    def parse(text: str) -> float:
        value = float(parse_duration(text.strip()))
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not between {low:g}s and {high:g}s")
        if whole and value != int(value):
            raise ValueError(f"{text!r} has a fraction of a second")
        return value

    return parse


def percentage(low: float, high: float) -> Callable[[str], float]:
    """A parser of percentages into fractions."""
    parse_number = number(low, high)

    def parse(text: str) -> float:
        return parse_number(text) / 100

    return parse


def burst_capacity(text: str) -> float:
    """A target burst capacity: -1 for unlimited, or 0 and above."""
    value = number(-1)(text)
    if -1 < value < 0:
        raise ValueError(f"{text!r} is neither -1 nor 0 or above")
    return value
