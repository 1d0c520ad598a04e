"""Reads the texts of ConfigMaps, and says what cannot be read in the words of Knative's parser.

Every function takes a text, spaces around it allowed, and raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from tidegate.apis.durations import parse_duration
from tidegate.kube.quantities import parse_quantity

MAX_INT32 = 2**31 - 1

Parsers = Mapping[str, tuple[str, Callable[[str], Any]]]

_QUANTITY_RULE = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
# What Go's strconv.ParseBool takes, in any case.
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


def read_boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return value


def read_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def read_number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
    return value


def read_duration(text: str) -> float:
    """Seconds."""
    try:
        return float(parse_duration(text.strip()))
    except ValueError:
        raise ValueError(f'time: invalid duration "{text}"') from None


def read_quantity(text: str) -> str:
    """The text itself."""
    try:
        parse_quantity(text.strip())
    except ValueError:
        raise ValueError(_QUANTITY_RULE) from None
    return text.strip()


def read_yaml(text: str) -> Any:
    """What a YAML or JSON text says.

    The loader trips over some texts in ways of its own: a date that no calendar has, a number
    without digits, brackets deeper than the stack.
    """
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_keys(data: Mapping[str, str], parsers: Parsers) -> dict[str, Any]:
    """The values of those keys that stand in `data`, by field.

    Args:
        parsers: by key, the field and what reads its text.

    Raises:
        ValueError: names the key.
    """
    values: dict[str, Any] = {}
    for key, (field, parse) in parsers.items():
        if key not in data:
            continue
        try:
            values[field] = parse(data[key])
        except ValueError as error:
            raise ValueError(f'failed to parse "{key}": {error}') from error
    return values
