"""One figure of a benchmark and the table they are printed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """A measured figure.

    Attributes:
        what: what was measured.
        value: the figure, in `unit`.
        unit: `s`, `ms`, `requests/s`, or empty for counts and ratios.
        goal: what it should be, in words.
    """

    what: str
    value: float
    unit: str = ""
    goal: str = ""


def print_rows(title: str, rows: Iterable[Row]) -> None:
    """Print a table on stdout."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    table.add_column("measured")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("goal")
    for row in rows:
        table.add_row(row.what, _number(row.value), row.unit, row.goal)
    Console(highlight=False).print(table)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1000:
        return str(int(value))
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
