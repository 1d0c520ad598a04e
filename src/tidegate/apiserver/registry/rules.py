"""Rules in the Common Expression Language that a custom kind's schema sets for its objects.

`x-kubernetes-validations`, https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
custom-resource-definitions/#validation-rules. A rule sees the value of its own place as `self`
and, on update, what was there before as `oldSelf`.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from tidegate.apiserver.registry.fielderrors import FieldErrors, join
from tidegate.apiserver.registry.ruleformats import format_functions
from tidegate.apiserver.registry.rulefunctions import FUNCTIONS
from tidegate.apiserver.registry.rulesyntax import is_offered, readable
from tidegate.apiserver.registry.spec import Schema
from tidegate.apiserver.values import mapping, objects, strings
from tidegate.kube.clock import parse_rfc3339

RULES = "x-kubernetes-validations"
_MAX_EVALUATIONS = 10_000
# fmt: off
_BUILT_IN = frozenset((
    "all", "bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "exists",
    "exists_one", "filter", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
    "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "has",
    "hasValue", "int", "map", "matches", "none", "of", "ofNonZeroValue", "or", "orValue", "size",
    "startsWith", "string", "timestamp", "type", "uint", "value",
))
_RESERVED = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
    "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
))
# fmt: on
_NOT_A_NAME = {".": "__dot__", "-": "__dash__", "/": "__slash__"}
_OLD = re.compile(r"\boldSelf\b")
_OPTIONAL_OLD = "(hadOldSelf ? optional.of(oldSelf) : optional.none())"


class RuleError(Exception):
    """A rule that cannot be read."""


@dataclass(frozen=True)
class Rule:
    """One rule, ready to be asked.

    Attributes:
        known: False where it uses what is not offered here: it is then not evaluated.
        transition: whether it compares with the value before.
    """

    program: Any
    source: str
    known: bool
    transition: bool


@lru_cache(maxsize=4096)
def compiled(source: str, *, optional_old: bool = False) -> Rule:
    """A rule by its text, whose `oldSelf` may be optional.

    Raises:
        RuleError: it is no expression.
    """
    text = readable(source, optional_old=optional_old)
    if not is_offered(text):
        return Rule(None, source, known=False, transition=False)
    try:
        program = _library().compile(_OLD.sub(_OPTIONAL_OLD, text) if optional_old else text)
    except ValueError as error:
        raise RuleError(str(error)) from error
    offered = _BUILT_IN | {name.rpartition(".")[2] for name in _functions()}
    functions = [name for name in program.functions() if name.isidentifier()]
    known = all(name in offered for name in functions)
    transition = "oldSelf" in program.variables() and not optional_old
    return Rule(program, source, known=known, transition=transition)


def rules_in(schema: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All rules of a schema with the paths at which they stand."""
    entries = mapping(schema)
    for index, rule in enumerate(objects(entries.get(RULES))):
        yield f"{path}.{RULES}[{index}]", rule
    for name, field in mapping(entries.get("properties")).items():
        yield from rules_in(field, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(entries.get(name), dict):
            yield from rules_in(entries[name], f"{path}.{name}")


def check_rules(schema: Schema, path: str, errors: FieldErrors) -> None:
    """Report the rules of a schema that cannot be read."""
    for at, rule in rules_in(schema, path):
        source = str(rule.get("rule") or "")
        if not source.strip():
            errors.required(f"{at}.rule", "rule is not specified")
            continue
        try:
            compiled(source)
        except RuleError as error:
            errors.invalid(f"{at}.rule", source, f"compilation failed: {error}")


class Judge:
    """Asks the rules of one schema about one object; `enough` bounds what it asks."""

    def __init__(self, errors: FieldErrors) -> None:
        self._errors = errors
        self._left = _MAX_EVALUATIONS

    def judge(self, schema: Schema, value: Any, old: Any, path: str) -> None:
        """Report which rules `value` breaks; `old` is None where nothing was there before."""
        for rule in objects(schema.get(RULES)):
            self._ask(rule, schema, value, old, path)
        if isinstance(value, dict):
            self._judge_fields(schema, cast("dict[str, Any]", value), old, path)
        elif isinstance(value, list):
            items = mapping(schema.get("items"))
            before = _by_keys(schema, old)
            for index, item in enumerate(cast("list[Any]", value)):
                key = _keys_of(schema, item)
                self.judge(items, item, before.get(key) if key else None, join(path, index))

    def _judge_fields(self, schema: Schema, value: dict[str, Any], old: Any, path: str) -> None:
        properties = mapping(schema.get("properties"))
        others = mapping(schema.get("additionalProperties"))
        before = mapping(old)
        for name, item in value.items():
            field = mapping(properties.get(name, others))
            if field:
                self.judge(field, item, before.get(name), join(path, name))

    def _ask(
        self, rule: Mapping[str, Any], schema: Schema, value: Any, old: Any, path: str
    ) -> None:
        optional_old = bool(rule.get("optionalOldSelf"))
        try:
            asked = compiled(str(rule.get("rule") or ""), optional_old=optional_old)
        except RuleError:
            return  # was taken before rules were read
        if not asked.known or (asked.transition and old is None):
            return
        self._left -= 1
        if self._left < 0:
            if self._left == -1:
                self._errors.forbidden(path, "too many validation rules for one object")
            return
        variables = {"self": _shown(schema, value)}
        if old is not None or optional_old:
            variables["oldSelf"] = _shown(schema, old)
            variables["hadOldSelf"] = old is not None
        try:
            if _run(asked, variables) is True:
                return
            message = _message(rule, asked, variables)
        except Exception as error:
            message = f"rule evaluation error: {error}"
        self._report(rule, value, path, message)

    def _report(self, rule: Mapping[str, Any], value: Any, path: str, message: str) -> None:
        path = f"{path}{rule.get('fieldPath') or ''}".lstrip(".") or "<nil>"
        reason = rule.get("reason")
        if reason == "FieldValueForbidden":
            self._errors.forbidden(path, message)
        elif reason == "FieldValueRequired":
            self._errors.required(path, message)
        elif reason == "FieldValueDuplicate":
            self._errors.duplicate(path, _named(value))
        else:
            self._errors.invalid(path, _named(value), message)


def _message(rule: Mapping[str, Any], asked: Rule, variables: dict[str, Any]) -> str:
    expression = rule.get("messageExpression")
    if expression:
        try:
            made = compiled(str(expression), optional_old=bool(rule.get("optionalOldSelf")))
            text = _run(made, variables) if made.known else None
        except Exception:  # Kubernetes falls back to the message as well
            text = None
        if isinstance(text, str) and text.strip():
            return text
    return str(rule.get("message") or f"failed rule: {asked.source}").strip()


def _run(rule: Rule, variables: dict[str, Any]) -> Any:
    context = _library().Context(variables={"format": "", **variables}, functions=_functions())
    return rule.program.execute(context)


def _named(value: Any) -> Any:
    """What messages show of a value: of composite ones only what they are."""
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else value


def _by_keys(schema: Schema, old: Any) -> dict[tuple[Any, ...], Any]:
    if not isinstance(old, list):
        return {}
    keyed = ((_keys_of(schema, item), item) for item in cast("list[Any]", old))
    return {key: item for key, item in keyed if key}


def _keys_of(schema: Schema, item: Any) -> tuple[Any, ...]:
    """What makes an item the same as before; empty where nothing does."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(item, dict):
        return ()
    entries = cast("dict[str, Any]", item)
    return tuple(entries.get(key) for key in strings(schema.get("x-kubernetes-list-map-keys")))


def _shown(schema: Schema, value: Any) -> Any:
    """A value as rules see it: names that are no names escaped, times as times."""
    if isinstance(value, dict):
        properties = mapping(schema.get("properties"))
        others = mapping(schema.get("additionalProperties"))
        return {
            _escaped(name) if name in properties else name: _shown(
                mapping(properties.get(name, others)), item
            )
            for name, item in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, list):
        items = mapping(schema.get("items"))
        return [_shown(items, item) for item in cast("list[Any]", value)]
    if isinstance(value, str) and schema.get("format") == "date-time":
        return datetime.fromtimestamp(parse_rfc3339(value), UTC)
    return value


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for char, shown in _NOT_A_NAME.items():
        name = name.replace(char, shown)
    return name


@lru_cache(maxsize=1)
def _functions() -> Mapping[str, Any]:
    return {**FUNCTIONS, **format_functions(_library().OptionalValue)}


@lru_cache(maxsize=1)
def _library() -> Any:
    """The extension of the package `cel` alone: the package would bring its command line too."""
    package = importlib.util.find_spec("cel")
    places = (package.submodule_search_locations if package else None) or ()
    for place in places:
        for path in Path(place).glob("cel.*.so"):
            spec = importlib.util.spec_from_file_location("cel.cel", path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    import cel  # pyright: ignore[reportMissingTypeStubs]

    return cel
