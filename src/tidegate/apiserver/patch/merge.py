"""JSON merge patch, RFC 7386."""

from __future__ import annotations

from typing import Any, cast


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` with `patch` merged in: maps merge, null removes, anything else replaces.

    Neither argument is changed; the result shares what it did not change.
    """
    if not isinstance(patch, dict):
        return patch
    source = cast("dict[str, Any]", patch)
    result: dict[str, Any] = dict(cast("dict[str, Any]", target)) if _is_map(target) else {}
    for key, value in source.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)
