"""The ASGI application: routes, and the pod's name on every answer."""

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


class PodHeader:
    """Adds `X-Pod`, so that a caller behind a gateway sees which process answered."""

    def __init__(self, app: ASGIApp, *, pod: str) -> None:
        self._app = app
        self._header = (b"x-pod", pod.encode("latin-1", "replace"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), self._header]}
            await send(message)

        await self._app(scope, receive, send_named)


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
    middleware = [Middleware(PodHeader, pod=pod)]
    if cors:
        middleware.append(
            Middleware(CORSMiddleware, allow_origins=cors, allow_methods=["*"], allow_headers=["*"])
        )
    return Starlette(routes=routes, middleware=middleware, exception_handlers={ApiError: api_error})
