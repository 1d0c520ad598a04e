"""Reads what a page sends to the portal, with the field's name in every complaint."""

from __future__ import annotations

import json
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request

from portal.errors import PortalError
from portal.pressure.state import RunSpec
from portal.settings import Settings

MOST_BODY_BYTES = 64 * 1024
LONGEST_PROMPT = 1000


class FieldError(PortalError):
    """A field has a value that cannot be used."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; 413 or 422 when it is too large or none."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MOST_BODY_BYTES} bytes.")
    try:
        parsed: Any = json.loads(bytes(body))
    except ValueError as error:
        raise HTTPException(422, "The body is no JSON.") from error
    if not isinstance(parsed, dict):
        raise HTTPException(422, "The body is no JSON object.")
    return cast(dict[str, Any], parsed)


def run_spec(body: dict[str, Any], settings: Settings) -> RunSpec:
    """What to run.

    Raises:
        FieldError: prompt, concurrency or total is missing or out of its range.
    """
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise FieldError("prompt", "Say what the pictures shall show.")
    if len(prompt) > LONGEST_PROMPT:
        raise FieldError("prompt", f"At most {LONGEST_PROMPT} characters.")
    return RunSpec(
        prompt=prompt.strip(),
        concurrency=_count(body, "concurrency", settings.max_concurrency),
        total=_count(body, "total", settings.max_total),
    )


def _count(body: dict[str, Any], field: str, most: int) -> int:
    value = body.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise FieldError(field, f"A whole number from 1 to {most}.")
    return value
