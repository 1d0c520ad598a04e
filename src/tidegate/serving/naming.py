"""Names of generated objects."""

from __future__ import annotations

import hashlib

_LONGEST = 63
_DIGEST = 32


def child_name(parent: str, suffix: str) -> str:
    """`<parent><suffix>`; where that is too long for a label, a digest stands for the end of
    the parent's name, as Knative does it."""
    if len(parent) + len(suffix) <= _LONGEST:
        return f"{parent}{suffix}"
    digest = hashlib.sha256(parent.encode()).hexdigest()[:_DIGEST]
    return f"{parent[: _LONGEST - _DIGEST - len(suffix)]}{digest}{suffix}"
