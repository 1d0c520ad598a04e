"""`'%s has %d'.format([name, number])` in rules, by the definition of the language's own library.

https://pkg.go.dev/github.com/google/cel-go/ext#Strings
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

_CLAUSE = re.compile(r"%(?:(%)|(?:\.(\d+))?(.?))", re.DOTALL)
_DECIMALS = 6
_MOST_DECIMALS = 1000


def format_text(text: str, values: list[Any]) -> str:
    """The text with a value in the place of each clause.

    Raises:
        TypeError: a clause does not fit its value.
        ValueError: there is no such clause, or there are too few values.
    """
    left = iter(values)

    def shown(clause: re.Match[str]) -> str:
        percent, precision, verb = clause.groups()
        if percent:
            return "%"
        decimals = _DECIMALS if precision is None else int(precision)
        if verb not in _VERBS:
            raise ValueError(f'unrecognized formatting clause "{verb}"')
        if decimals > _MOST_DECIMALS:
            raise ValueError(f"more than {_MOST_DECIMALS} decimals")
        try:
            value = next(left)
        except StopIteration:
            raise ValueError("too few arguments to format") from None
        return _VERBS[verb](value, decimals)

    return _CLAUSE.sub(shown, text)


def _plain(value: Any, _precision: int = 0) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.9f}".rstrip("0").rstrip(".") + "s"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, cast('list[Any]', value)))}]"
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value).items()
        pairs = sorted((_plain(key), _plain(item)) for key, item in entries)
        return f"{{{', '.join(f'{key}: {item}' for key, item in pairs)}}}"
    return str(value)


def _decimal(value: Any, _precision: int) -> str:
    return str(_whole(value, "decimal"))


def _fixed(value: Any, precision: int) -> str:
    return f"{_number(value, 'fixed-point'):.{precision}f}"


def _scientific(value: Any, precision: int) -> str:
    return f"{_number(value, 'scientific notation'):.{precision}e}"


def _binary(value: Any, _precision: int) -> str:
    return f"{int(value) if isinstance(value, bool) else _whole(value, 'binary'):b}"


def _octal(value: Any, _precision: int) -> str:
    return f"{_whole(value, 'octal'):o}"


def _hexadecimal(value: Any, _precision: int) -> str:
    if isinstance(value, str):
        return value.encode().hex()
    return value.hex() if isinstance(value, bytes) else f"{_whole(value, 'hex'):x}"


def _upper_hexadecimal(value: Any, precision: int) -> str:
    return _hexadecimal(value, precision).upper()


def _whole(value: Any, kind: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{kind} clause can only be used on integers, was given {_plain(value)}")
    return value


def _number(value: Any, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{kind} clause can only be used on numbers, was given {_plain(value)}")
    return value


_VERBS: Mapping[str, Callable[[Any, int], str]] = {
    "s": _plain,
    "d": _decimal,
    "f": _fixed,
    "e": _scientific,
    "b": _binary,
    "o": _octal,
    "x": _hexadecimal,
    "X": _upper_hexadecimal,
}
