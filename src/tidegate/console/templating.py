"""The Jinja2 templates with their filters."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tidegate.console import words

_HERE = Path(__file__).parent
STATIC = _HERE / "static"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = cast("dict[str, Any]", environment.filters)  # pyright: ignore[reportUnknownMemberType]
    for function in (words.duration, words.milliseconds, words.rate, words.cost, words.share):
        filters[function.__name__] = function
    return environment


def render(template: str, **context: object) -> str:
    """A template's text; a name that it lacks is an error."""
    return _environment().get_template(template).render(**context)
