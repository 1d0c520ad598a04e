"""What of the language the library does not read, said in what it does read.

`a.?b.c` is `has(a.b) && has(a.b.c) ? optional.of(a.b.c) : optional.none()`, where `a` is a path of
names and indexes; `cel.bind(x, value, body)` is `[value].map(x, body)[0]`.
"""

from __future__ import annotations

import re

_NAME = r"[A-Za-z_]\w*"
_TEXT = r'"(?:\\.|[^"\\])*"' + r"|'(?:\\.|[^'\\])*'"
_OPTIONAL = re.compile(
    rf"(?P<text>{_TEXT})"
    rf"|(?<![\w.)\]])(?P<start>{_NAME}(?:\.{_NAME}|\[[^\[\]\"']*\])*)"
    rf"(?P<chain>\.\?{_NAME}\b(?!\s*\()(?:\.\??{_NAME}\b(?!\s*\())*)"
)
_TOKEN = re.compile(rf"{_TEXT}|.", re.DOTALL)
_NOT_OFFERED = re.compile(r"\.\?|\[\?|cel\.bind")
_BIND = "cel.bind("
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def is_offered(source: str) -> bool:
    """Whether the library reads all of what `readable` has left."""
    return not _NOT_OFFERED.search(re.sub(_TEXT, "''", source))


def readable(source: str, *, optional_old: bool) -> str:
    """The rule with what can be said otherwise; the rest as it is.

    Args:
        optional_old: `oldSelf` is an optional itself, so that paths from there stay.
    """
    return _OPTIONAL.sub(lambda found: _selected(found, optional_old), _bound(source))


def _selected(found: re.Match[str], optional_old: bool) -> str:
    start = found["start"]
    if not start or (optional_old and re.match(r"oldSelf\b", start)):
        return found[0]
    path, present = start, list[str]()
    for name in re.findall(_NAME, found["chain"]):
        path = f"{path}.{name}"
        present.append(f"has({path})")
    return f"({' && '.join(present)} ? optional.of({path}) : optional.none())"


def _bound(source: str) -> str:
    # The last one first, so that what it is an argument of finds it done.
    at = source.rfind(_BIND)
    while at >= 0:
        arguments, end = _arguments(source, at + len(_BIND))
        if len(arguments) != 3 or not arguments[0].isidentifier():
            return source
        name, value, body = arguments
        source = f"{source[:at]}[{value}].map({name}, {body})[0]{source[end:]}"
        at = source.rfind(_BIND, 0, at)
    return source


def _arguments(source: str, at: int) -> tuple[list[str], int]:
    """The arguments of a call from behind its bracket, and where it ends; none if it does not."""
    found, begin, depth = list[str](), at, 1
    for token in _TOKEN.finditer(source, at):
        depth += _BRACKETS.get(token[0], 0)
        if (token[0] == "," and depth == 1) or depth == 0:
            found.append(source[begin : token.start()].strip())
            begin = token.end()
        if depth == 0:
            return found, token.end()
    return [], at
