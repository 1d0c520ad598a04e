"""What nodes and pods use, in tables."""

from __future__ import annotations

from tidegate.apiserver.tables.columns import NAME, Cell, Column, Layout
from tidegate.apiserver.tables.common import listed, part
from tidegate.kube.objects import Object, name_of
from tidegate.kube.quantities import parse_quantity


def _node(obj: Object, _now: float) -> list[Cell]:
    return _row(obj, [part(obj, "usage")])


def _pod(obj: Object, _now: float) -> list[Cell]:
    return _row(obj, [part(container, "usage") for container in listed(obj, "containers")])


def _row(obj: Object, usages: list[Object]) -> list[Cell]:
    cpu = sum(parse_quantity(usage["cpu"]) for usage in usages)
    memory = sum(parse_quantity(usage["memory"]) for usage in usages)
    cells = (f"{round(cpu * 10**9)}n", f"{memory // 1024}Ki")
    return [name_of(obj), *cells, obj["window"]]


_COLUMNS = (NAME, Column("cpu"), Column("memory"), Column("Window"))
NODE_METRICS = Layout(_COLUMNS, _node)
POD_METRICS = Layout(_COLUMNS, _pod)
