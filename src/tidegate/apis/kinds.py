"""What an API server must know to serve one of our kinds, whoever's server it is.

The embedded server takes these as they are; for a real cluster they become
CustomResourceDefinitions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource

Admit = Callable[[Object, "Object | None", str], Object]


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get`; `json_path` as in a CustomResourceDefinition.

    A `priority` above 0 shows the column only with `-o wide`.
    """

    name: str
    type: str
    json_path: str
    priority: int = 0
    description: str = ""


@dataclass(frozen=True)
class KindDefinition:
    """One kind.

    Attributes:
        resource: its names and scope.
        admit: called with (new, old or None, user name) on create and update of the main
            resource; returns the object with defaults filled in, a new one. Raises BadRequest
            or Invalid with field paths. Does no I/O.
        schema: the OpenAPI v3 schema of the whole object.
        printer_columns: for tables.
        status_subresource: whether status is written through its own subresource.
    """

    resource: Resource
    admit: Admit
    schema: Callable[[], dict[str, Any]]
    printer_columns: tuple[PrinterColumn, ...] = ()
    status_subresource: bool = True
