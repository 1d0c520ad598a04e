"""What all handlers share: bodies with a limit, errors in one shape, the route table's entries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

MAX_BODY = 48 * 1024 * 1024
CLIENT_GONE = 499  # nginx's code; nobody is there to read it, but the log is

Handler = Callable[[Request], Awaitable[Response]]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Endpoint:
    """One call of the API; the OpenAPI document is made from these."""

    method: str
    path: str
    handler: Handler
    summary: str
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | list[type[BaseModel]] | None = None


class ApiError(Exception):
    """An answer other than 200; `detail` as FastAPI would give it."""

    def __init__(self, status: int, detail: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(detail))
        self.status, self.detail, self.headers = status, detail, headers


def bad_field(name: str, message: str, value: object = None) -> ApiError:
    return ApiError(
        422, [{"type": "value_error", "loc": ["body", name], "msg": message, "input": value}]
    )


async def read_body(request: Request) -> bytes:
    """The body; 413 beyond the limit, without reading the rest."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BODY:
                raise ApiError(413, f"the body is larger than {MAX_BODY} bytes")
            parts.append(part)
    except ClientDisconnect:
        raise ApiError(CLIENT_GONE, "the client left") from None
    return b"".join(parts)


async def parse(request: Request, model: type[M]) -> M:
    """The JSON body as `model`; 422 names the field that is wrong."""
    body = await read_body(request)
    try:
        data = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError(
            422, [{"type": "json_invalid", "loc": ["body"], "msg": str(error)}]
        ) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ApiError(422, validation_detail(error)) from error


def validation_detail(error: ValidationError) -> list[dict[str, Any]]:
    return [
        {
            "type": e["type"],
            "loc": ["body", *e["loc"]],
            "msg": e["msg"],
            "input": shortened(e["input"]),
        }
        for e in error.errors(include_url=False, include_context=False)
    ]


def shortened(value: Any) -> Any:
    """No more of a wrong value than helps to find it."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= 200 else text[:200] + "..."


async def api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse({"detail": error.detail}, status_code=error.status, headers=error.headers)
