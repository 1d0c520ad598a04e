"""Tables of kinds that bring their own columns: JSONPath into the object, as in a definition."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from tidegate.apis.kinds import PrinterColumn
from tidegate.apiserver.tables.ages import age
from tidegate.apiserver.tables.columns import NAME, Cell, Column, Layout
from tidegate.apiserver.tables.jsonpath import compile_path
from tidegate.kube.objects import Object, name_of


@lru_cache(maxsize=256)
def layout_of(columns: tuple[PrinterColumn, ...]) -> Layout:
    """The name, and then what the kind declares.

    Raises:
        BadRequest: a column's JSONPath is not understood.
    """
    cells = [_cell_of(column) for column in columns]

    def row(obj: Object, now: float) -> list[Cell]:
        return [name_of(obj), *(cell(obj, now) for cell in cells)]

    declared = tuple(
        Column(c.name, c.type, description=c.description, priority=c.priority) for c in columns
    )
    return Layout((NAME, *declared), row)


def _cell_of(column: PrinterColumn) -> Callable[[Object, float], Cell]:
    find = compile_path(column.json_path)

    def cell(obj: Object, now: float) -> Cell:
        found = find(obj)
        if not found:
            return None
        return _converted(column.type, found[0], now)

    return cell


def _converted(column_type: str, value: Any, now: float) -> Cell:
    if column_type == "date":
        return age(value if isinstance(value, str) else None, now)
    if column_type == "string":
        return _text(value)
    if column_type == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if column_type == "integer" else float(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
