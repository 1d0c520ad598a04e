"""The answer when the service's page cannot be reached: a page that tries again, or plain JSON."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from portal.proxy.headers import value_of
from portal.templating import templates

RETRY_SECONDS = 5


async def refuse(
    scope: Scope, receive: Receive, send: Send, *, service: str, reason: str, status: int = 503
) -> None:
    """Answer with the reason; a websocket is closed before it is accepted (which answers 403)."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013, "reason": reason[:120]})
        return
    headers = {"Retry-After": str(RETRY_SECONDS), "Cache-Control": "no-store"}
    if "text/html" in value_of(scope["headers"], b"accept"):
        response = templates.TemplateResponse(
            Request(scope),
            "unavailable.html",
            {"service": service, "reason": reason, "retry_seconds": RETRY_SECONDS},
            status_code=status,
            headers=headers,
        )
    else:
        response = JSONResponse({"error": reason}, status_code=status, headers=headers)
    await response(scope, receive, send)
