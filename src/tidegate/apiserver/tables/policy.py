"""Role bindings in tables."""

from __future__ import annotations

from tidegate.apiserver.tables.columns import AGE, NAME, Cell, Column, Layout, wide
from tidegate.apiserver.tables.common import age_of, listed, part
from tidegate.kube.objects import Object, name_of


def _binding(obj: Object, now: float) -> list[Cell]:
    role = part(obj, "roleRef")
    subjects = listed(obj, "subjects")
    accounts = [s for s in subjects if s.get("kind") == "ServiceAccount"]
    return [
        name_of(obj),
        f"{role.get('kind')}/{role.get('name')}",
        age_of(obj, now),
        ", ".join(str(s.get("name")) for s in subjects if s.get("kind") == "User"),
        ", ".join(str(s.get("name")) for s in subjects if s.get("kind") == "Group"),
        ", ".join(f"{s.get('namespace')}/{s.get('name')}" for s in accounts),
    ]


BINDINGS = Layout(
    (NAME, Column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")), _binding
)
