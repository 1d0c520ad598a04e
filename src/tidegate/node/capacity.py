"""What the machine has of CPU and memory, whoever uses it."""

from __future__ import annotations

import os


def machine_cpus() -> int:
    return os.cpu_count() or 1


def machine_memory() -> int:
    """Bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
