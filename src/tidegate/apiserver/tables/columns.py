"""What a table is made of: named columns, and for each object a row of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.kube.objects import Object

Cell = str | int | float | bool | None
Row = Callable[[Object, float], list[Cell]]


@dataclass(frozen=True)
class Column:
    """A column; a `priority` above 0 shows it only with `-o wide`."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


@dataclass(frozen=True)
class Layout:
    """How objects of one kind become rows: `row(object, now)` gives one cell per column."""

    columns: tuple[Column, ...]
    row: Row


NAME = Column("Name", format="name", description="Name must be unique within a namespace.")
AGE = Column("Age", description="Time since the object was created.")


def wide(name: str, column_type: str = "string", description: str = "") -> Column:
    """A column that only `-o wide` shows."""
    return Column(name, column_type, description=description, priority=1)
