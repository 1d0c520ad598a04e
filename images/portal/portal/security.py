"""Headers that keep the portal's pages to themselves, and the check against foreign pages."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def same_origin(request: Request) -> None:
    """Refuse what a page of another origin sends in the name of the person in front of it.

    The service's own page is another origin too (another port), and it shows what a model
    service pleases, so it must not start pressure tests. A JSON body forces a preflight in
    browsers without Sec-Fetch-Site.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if site not in ("same-origin", "none") or kind != "application/json":
        raise HTTPException(403, "Only the portal's own page may do this, with a JSON body.")
