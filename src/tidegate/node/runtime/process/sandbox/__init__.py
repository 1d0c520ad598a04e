"""What a process does to become a container: its own view of the files, its user, its rights; and
the limits on what it may use.

Standard library only and nothing of Tidegate: the warm template runs it in each process it forks,
and `exec_child` when it joins a container. `enter` does it, `abilities` says what the machine
allows, `join` follows a container into its namespaces.
"""

from __future__ import annotations

from .entering import FULL, PARTIAL, abilities, enter, join
from .groups import fill_group, make_group, ran_out_of_memory, remove_group
from .memory import MemoryWatch, children
from .syscalls import adopt_orphans

__all__ = [
    "FULL",
    "PARTIAL",
    "MemoryWatch",
    "abilities",
    "adopt_orphans",
    "children",
    "enter",
    "fill_group",
    "join",
    "make_group",
    "ran_out_of_memory",
    "remove_group",
]
