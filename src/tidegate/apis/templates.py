"""The part of Go's templates that Knative's settings are written in: fields and table entries.

`{{.Name}}.{{index .Annotations "sub"}}`; there are no pipelines and no conditions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_FIELD = re.compile(r"\{\{-?\s*\.(\w+)\s*-?\}\}")
_INDEX = re.compile(r'\{\{-?\s*index\s+\.(Annotations|Labels)\s+"([^"]+)"\s*-?\}\}')


def check_template(text: str) -> str:
    """The text itself. Raises ValueError where it has terms that cannot be rendered."""
    if "{{" in _FIELD.sub("", _INDEX.sub("", text)):
        raise ValueError(
            f"{text!r} has terms other than fields, as {{{{.Name}}}}, "
            'and {{index .Annotations "key"}}'
        )
    return text.strip()


def render(
    template: str,
    values: Mapping[str, str],
    *,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """The template with its terms filled in; what is not known is empty."""
    tables = {"Annotations": annotations or {}, "Labels": labels or {}}
    text = _INDEX.sub(lambda match: tables[match[1]].get(match[2], ""), template)
    return _FIELD.sub(lambda match: values.get(match[1], ""), text)
