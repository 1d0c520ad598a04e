"""What every request passes: the name it asks for, the right to read, and the headers it gets."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.console.access import Guard

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OPEN = ("/static/", "/login")


class Door:
    """Refuses names that are not ours and requests without the token; adds security headers.

    Args:
        app: what is behind it.
        guard: who decides.
        refuse: answers a request that lacks the token.
    """

    def __init__(self, app: ASGIApp, *, guard: Guard, refuse: ASGIApp) -> None:
        self._app = app
        self._guard = guard
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # Files have an ETag; pages may say what nobody else should find in a cache.
                is_file = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if is_file else "no-store")
            await send(message)

        await self._choose(scope)(scope, receive, send_with_headers)

    def _choose(self, scope: Scope) -> ASGIApp:
        connection = HTTPConnection(scope)
        if not self._guard.is_ours(connection.headers.get("host", "")):
            return PlainTextResponse(
                "The console is not served under this name: use its address, localhost,"
                " or a name it was told.\n",
                421,
            )
        path: str = scope["path"]
        if path.startswith(_OPEN) or self._guard.may_read(connection):
            return self._app
        return self._refuse
