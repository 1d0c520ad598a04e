"""The ASGI application: routes, and who answered on every answer."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import openapi
from .api import Api
from .page import STATIC, Page
from .studio import Studio
from .web import ApiError, api_error

VERSION = "1.0.0"


class PodHeaders:
    """Tells a caller behind a gateway which process answered and how busy it was.

    `X-Pod` names the process; `X-Pod-Requests` is how many requests it held when this one came,
    this one included.
    """

    def __init__(self, app: ASGIApp, *, pod: str) -> None:
        self._app = app
        self._pod = (b"x-pod", pod.encode("latin-1", "replace"))
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._held += 1
        held = True
        headers = (self._pod, (b"x-pod-requests", str(self._held).encode()))

        def release() -> None:
            nonlocal held
            self._held -= held
            held = False

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *headers]}
            elif not message.get("more_body"):
                # Before the client can have the end of this answer and send its next request.
                release()
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        finally:
            release()


def build_app(
    studio: Studio,
    *,
    pod: str,
    flags: dict[str, Any],
    page: bool = True,
    cors: list[str] | None = None,
) -> Starlette:
    """`flags` are what the server was started with; without `page` only the API is served."""
    endpoints = Api(studio, flags).endpoints()
    routes: list[BaseRoute] = [Route(e.path, e.handler, methods=[e.method]) for e in endpoints]

    async def healthz(request: Request) -> Response:
        if studio.ending:
            return JSONResponse({"status": "ending"}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def spec(request: Request) -> Response:
        return JSONResponse(openapi.document(endpoints, version=VERSION))

    async def docs(request: Request) -> Response:
        return HTMLResponse(
            openapi.docs_page(endpoints, openapi.document(endpoints, version=VERSION))
        )

    routes += [Route("/healthz", healthz), Route("/openapi.json", spec), Route("/docs", docs)]
    routes.append(Mount("/static", StaticFiles(directory=STATIC)))
    if page:
        handlers = Page(studio, pod)
        routes += [
            Route("/", handlers.index),
            Route("/generate", handlers.generate, methods=["POST"]),
        ]
    middleware = [Middleware(PodHeaders, pod=pod)]
    if cors:
        middleware.append(
            Middleware(CORSMiddleware, allow_origins=cors, allow_methods=["*"], allow_headers=["*"])
        )
    return Starlette(routes=routes, middleware=middleware, exception_handlers={ApiError: api_error})
