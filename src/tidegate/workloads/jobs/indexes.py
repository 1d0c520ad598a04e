"""Sets of completion indexes as a Job's status writes them: `1,3-5,7`."""

from __future__ import annotations

from collections.abc import Iterable


def format_indexes(indexes: Iterable[int]) -> str:
    """The shortest form, in order."""
    ranges: list[list[int]] = []
    for index in sorted(indexes):
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    # Two in a row are written as two, as Kubernetes does.
    return ",".join(
        str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}"
        for first, last in ranges
    )


def parse_indexes(text: str, completions: int) -> frozenset[int]:
    """The indexes below `completions`; what cannot be read counts as none."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        try:
            found.update(range(int(first), min(int(last or first) + 1, completions)))
        except ValueError:
            continue
    return frozenset(index for index in found if 0 <= index < completions)
