"""The part of JSONPath that printer columns use.

Fields (`.a.b`, `['a.b']`, `.a\\.b`), indices (`[0]`, `[-1]`), wildcards (`[*]`, `.*`) and filters
on one comparison or on existence (`[?(@.type=="Ready")]`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, cast

from tidegate.kube.errors import BadRequest

Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""
      \.(?P<field>(?:\\.|[^.\[\]\\*])+)
    | \[\s*'(?P<single>[^']*)'\s*\] | \[\s*"(?P<double>[^"]*)"\s*\]
    | \[\s*(?P<index>-?\d+)\s*\]
    | (?P<wild>\[\s*\*\s*\]|\.\*)
    | \[\?\(\s*@(?P<path>[^=!<>\s)]+)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>[^)]*?)\s*)?\)\]
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=1024)
def compile_path(path: str) -> Callable[[Any], list[Any]]:
    """A function from a value to all the values the path finds in it.

    Raises:
        BadRequest: the path is not understood.
    """
    steps = list(_steps(path))

    def find(value: Any) -> list[Any]:
        found: list[Any] = [value]
        for step in steps:
            found = [item for one in found for item in step(one)]
        return found

    return find


def _steps(path: str) -> Iterable[Step]:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        text = f".{text}"
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            raise BadRequest(f"the JSONPath {path!r} is not understood at {text[position:]!r}")
        yield _step(match)
        position = match.end()


def _step(match: re.Match[str]) -> Step:
    if match["wild"]:
        return _children
    if match["index"] is not None:
        return _at(int(match["index"]))
    if match["path"] is not None:
        return _where(compile_path(match["path"]), match["op"], match["value"])
    names = (match["single"], match["double"], match["field"])
    name = re.sub(r"\\(.)", r"\1", next(name for name in names if name is not None))
    return _member(name)


def _member(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield cast("dict[str, Any]", value)[name]

    return step


def _at(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            items = cast("list[Any]", value)
            if -len(items) <= index < len(items):
                yield items[index]

    return step


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        yield from cast("list[Any]", value)


def _where(find: Callable[[Any], list[Any]], operator: str | None, literal: str | None) -> Step:
    expected = _literal(literal or "")

    def holds(item: Any) -> bool:
        found = find(item)
        if operator is None:
            return bool(found)
        return bool(found) and _compare(found[0], operator, expected)

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from (item for item in cast("list[Any]", value) if holds(item))

    return step


def _literal(text: str) -> Any:
    if text[:1] in "'\"" and text[:1] == text[-1:] and len(text) > 1:
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _compare(actual: Any, operator: str, expected: Any) -> bool:
    if operator in ("==", "!="):
        return (actual == expected) is (operator == "==")
    if not isinstance(actual, (int, float)) or not isinstance(expected, (int, float)):
        return False
    return {
        "<": actual < expected,
        "<=": actual <= expected,
        ">": actual > expected,
        ">=": actual >= expected,
    }[operator]
