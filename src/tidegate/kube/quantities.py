"""Kubernetes' quantities: `500m`, `1.5Gi`, `2e3`, as exact numbers."""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?", re.ASCII
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def parse_quantity(value: str | float) -> Fraction:
    """The number that a quantity stands for.

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{value!r} is no quantity such as 500m, 2 or 1Gi")
    number, suffix, exponent = match.groups()
    if suffix in _BINARY:
        return Fraction(number) * 1024 ** (_BINARY.index(suffix) + 1)
    power = int(exponent) if exponent else _DECIMAL.get(suffix or "", 0)
    return Fraction(number) * Fraction(10) ** power
