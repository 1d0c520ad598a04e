"""Numbers as people read them; used as filters in the templates."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """E.g. `42 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`; a dash for None."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def milliseconds(value: float | None) -> str:
    """E.g. `0.8 ms`, `42 ms`, `1.25 s`; a dash for None."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f} ms"
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.3g} s" if value < 100_000 else f"{value / 1000:.0f} s"


def rate(value: float) -> str:
    """Requests per second; small ones with the digits that matter."""
    if value == 0:
        return "0"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def cost(value: float | None) -> str:
    """An amount of money whose currency the price table knows; a dash for None."""
    if value is None:
        return "–"
    return f"{value:.4f}" if value < 1 else f"{value:,.2f}"


def share(value: float | None) -> str:
    """A share 0..1 as percent; a dash for None. Never rounds a failure away."""
    if value is None:
        return "–"
    percent = value * 100
    if percent == 100:
        return "100 %"
    return f"{min(percent, 99.99):.2f} %" if percent > 99 else f"{percent:.1f} %"
