"""Rules for a gray release: which requests go to a tag of the traffic block, whatever the percents.

They stand in an annotation of a Service or Route, as YAML or JSON:

    tidegate.dev/traffic-rules: |
      - {tag: canary, header: X-Gray, value: "on"}
      - {tag: canary, cookie: gray}
      - {tag: canary, query: version, pattern: 'v2\\..+'}

What can be matched is what the canary annotations of the MSE and nginx ingresses can. A rule
without `value` and `pattern` matches the word `always`, as there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from tidegate.apis.parsing import read_yaml

TRAFFIC_RULES_ANNOTATION = "tidegate.dev/traffic-rules"

_SOURCES = ("header", "cookie", "query")
_FIELDS = frozenset(("tag", "value", "pattern", *_SOURCES))
_ALWAYS = "always"
_MOST_RULES = 32
_LONGEST_TEXT = 16 << 10
_LONGEST_VALUE = 256
_LONGEST_PATTERN = 128
_LONGEST_IN_ALL = 4000
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_TAG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PRINTABLE = re.compile(r"[ -~]+")
# The gateway drops these from every request before it looks for rules.
_INTERNAL = ("k-", "tidegate-")


@dataclass(frozen=True)
class TrafficRule:
    """One rule.

    Attributes:
        tag: where matching requests go.
        source: `header`, `cookie` or `query`.
        name: of the header, cookie or query parameter.
        kind: `value` for equality, `pattern` for a regular expression that matches the whole.
        text: what it is compared with.
    """

    tag: str
    source: str
    name: str
    kind: str
    text: str


class RuleError(ValueError):
    """A rule that cannot be used.

    Attributes:
        place: the path of the field below the annotation, as `[0].value`.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


def parse_rules(text: str) -> tuple[TrafficRule, ...]:
    """Read the annotation.

    Raises:
        RuleError: it is no list of rules.
    """
    if len(text) > _LONGEST_TEXT:
        raise RuleError(f"{len(text)} characters are more than {_LONGEST_TEXT}")
    try:
        found = read_yaml(text)
    except ValueError as error:
        raise RuleError(f"neither YAML nor JSON: {error}") from error
    if found is None:
        return ()
    if not isinstance(found, list):
        raise RuleError("expected a list of rules")
    entries = cast("list[Any]", found)
    if len(entries) > _MOST_RULES:
        raise RuleError(f"{len(entries)} rules are more than {_MOST_RULES}")
    rules = tuple(_rule(entry, f"[{index}]") for index, entry in enumerate(entries))
    size = len(encode_rules(rules))
    if size > _LONGEST_IN_ALL:
        raise RuleError(f"the rules are {size - _LONGEST_IN_ALL} characters too long in all")
    return rules


def encode_rules(rules: Iterable[TrafficRule]) -> str:
    """One word for the gateway's map: letters, digits and `-._~%:+`."""
    return "+".join(
        ":".join(quote(part, safe="") for part in (r.tag, r.source, r.name, r.kind, r.text))
        for r in rules
    )


def _rule(entry: Any, place: str) -> TrafficRule:
    if not isinstance(entry, dict):
        raise RuleError("expected a rule with tag and header, cookie or query", place)
    fields = cast("dict[Any, Any]", entry)
    for key, value in fields.items():
        if key not in _FIELDS:
            known = "tag, header, cookie, query, value, pattern"
            raise RuleError(f'unknown field "{key}": expected {known}', place)
        if not isinstance(value, str):
            raise RuleError(f"{value!r} is no string: quote it", f"{place}.{key}")
    sources = [source for source in _SOURCES if source in fields]
    if len(sources) != 1:
        got = " and ".join(sources) or "neither"
        raise RuleError(f"expected exactly one of header, cookie and query, got {got}", place)
    (source,) = sources
    return TrafficRule(
        _tag(fields, place), source, _name(fields[source], source, place), *_match(fields, place)
    )


def _tag(fields: dict[str, str], place: str) -> str:
    tag = fields.get("tag", "")
    if not _TAG.fullmatch(tag):
        raise RuleError("missing" if not tag else f'"{tag}" is no tag', f"{place}.tag")
    return tag


def _name(name: str, source: str, place: str) -> str:
    where = f"{place}.{source}"
    if not _NAME.fullmatch(name):
        raise RuleError(f'"{name}" is no name of a {source}', where)
    if source == "header" and name.lower().startswith(_INTERNAL):
        raise RuleError(f'the gateway drops headers as "{name}" from requests', where)
    return name


def _match(fields: dict[str, str], place: str) -> tuple[str, str]:
    if "value" in fields and "pattern" in fields:
        raise RuleError("expected at most one of value and pattern, got both", place)
    if "pattern" in fields:
        where = f"{place}.pattern"
        _check_pattern(fields["pattern"], where)
        return "pattern", fields["pattern"]
    value = fields.get("value", _ALWAYS)
    if len(value) > _LONGEST_VALUE or not _PRINTABLE.fullmatch(value):
        raise RuleError(
            f"expected 1 to {_LONGEST_VALUE} printable ASCII characters", f"{place}.value"
        )
    return "value", value


def _check_pattern(pattern: str, where: str) -> None:
    """Only what a backtracking engine can match in little time, whatever the value."""
    if len(pattern) > _LONGEST_PATTERN or not _PRINTABLE.fullmatch(pattern):
        raise RuleError(f"expected 1 to {_LONGEST_PATTERN} printable ASCII characters", where)
    try:
        re.compile(pattern)
    except re.error as error:
        raise RuleError(f"no regular expression: {error}", where) from error
    bare = re.sub(r"\\[^0-9]", "x", pattern)
    if re.search(r"\\[0-9]", bare):
        raise RuleError("back references are not allowed", where)
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "x", bare)
    if "(?" in bare:
        raise RuleError("groups that begin with (? are not allowed", where)
    if re.search(r"\)[*+?{]", bare):
        raise RuleError("groups cannot be repeated", where)
    if len(re.findall(r"[*+?{]", bare)) > 3 or bare.count("(") > 2:
        raise RuleError("more than 3 repetitions or 2 groups", where)
