"""Durations as Go writes them (`1h30m`, `100ms`), which Knative uses in annotations and settings.

Grammar: https://pkg.go.dev/time#ParseDuration
"""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_WHOLE = re.compile(rf"([+-]?)((?:{_PART.pattern})+)")


def parse_duration(text: str) -> Fraction:
    """Seconds, exactly.

    Raises:
        ValueError: the text is no duration.
    """
    if text in ("0", "+0", "-0"):
        return Fraction(0)
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration: expected e.g. 90s, 1m30s or 100ms")
    seconds = sum(
        (Fraction(part[1]) * _UNITS[part[2]] for part in _PART.finditer(match[2])), Fraction(0)
    )
    return -seconds if match[1] == "-" else seconds


def format_duration(seconds: float | Fraction) -> str:
    """Whole seconds as Go prints them: 6s, 1m0s, 1h0m0s."""
    total = int(seconds)
    hours, rest = divmod(total, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{secs}s"
    return f"{minutes}m{secs}s" if minutes else f"{secs}s"
