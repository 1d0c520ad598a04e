"""Durations in the words of `kubectl get`: `45s`, `3m20s`, `5h12m`, `3d4h`, `2y30d`."""

from __future__ import annotations

from tidegate.kube.clock import parse_rfc3339

UNKNOWN = "<unknown>"

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY


def human_duration(seconds: float) -> str:
    """As Kubernetes' `HumanDuration`: two units at most, the second only while it matters."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def age(timestamp: str | None, now: float) -> str:
    """The time since an RFC 3339 timestamp; `<unknown>` where there is none or it is broken."""
    if not timestamp:
        return UNKNOWN
    try:
        return human_duration(now - parse_rfc3339(timestamp))
    except ValueError:
        return UNKNOWN


def _two(seconds: int, unit: int, letter: str, lesser: int, lesser_letter: str) -> str:
    rest = seconds % unit // lesser
    return (
        f"{seconds // unit}{letter}{rest}{lesser_letter}" if rest else f"{seconds // unit}{letter}"
    )
