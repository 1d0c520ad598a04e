"""The portal's own pages on the first port, and the small API behind the pressure test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from portal.errors import GatewayUnknown, KubernetesError, RunRefused
from portal.gateway import GatewayFinder
from portal.inputs import FieldError, read_json, run_spec
from portal.pods import PodWatch
from portal.pressure.feed import events
from portal.pressure.runner import PressureTest
from portal.pressure.signal import Signal
from portal.security import SecurityHeaders, same_origin
from portal.settings import Settings
from portal.templating import STATIC, templates

MOST_READERS = 64


class Pages:
    """The handlers; `app` is the ASGI application."""

    def __init__(
        self,
        settings: Settings,
        finder: GatewayFinder,
        test: PressureTest,
        watch: PodWatch,
        changed: Signal,
    ) -> None:
        self._settings = settings
        self._finder = finder
        self._test = test
        self._watch = watch
        self._changed = changed
        self._readers = asyncio.Semaphore(MOST_READERS)
        self.app = Starlette(
            routes=[
                Route("/", self._start_page),
                Route("/pressure-test", self._pressure_page),
                Route("/api/gateway", self._gateway),
                Route("/api/events", self._events),
                Route("/api/run", self._start, methods=["POST"]),
                Route("/api/run/stop", self._stop, methods=["POST"]),
                Route("/api/run/{run_id}/images/{number:int}.png", self._image),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(SecurityHeaders)],
            exception_handlers={HTTPException: _refusal},
        )

    async def _start_page(self, request: Request) -> Response:
        return self._page(request, "start.html")

    async def _pressure_page(self, request: Request) -> Response:
        return self._page(request, "pressure.html")

    def _page(self, request: Request, template: str) -> Response:
        settings = self._settings
        url = settings.service_page_url
        # Without scripts the link is built from the Host header; the page corrects it.
        link = f"//{request.url.hostname}{url}" if url.startswith(":") else url
        context = {"settings": settings, "service_page_link": link, "service_page_url": url}
        return templates.TemplateResponse(request, template, context)

    async def _gateway(self, _request: Request) -> Response:
        try:
            gateway = await self._finder.find()
        except (GatewayUnknown, KubernetesError) as error:
            return JSONResponse({"found": False, "reason": str(error)})
        return JSONResponse({"found": True, "host": gateway.host, "address": gateway.authority})

    async def _events(self, _request: Request) -> Response:
        if self._readers.locked():
            raise HTTPException(503, "Too many pages are open.")

        return StreamingResponse(
            self._stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _stream(self) -> AsyncIterator[bytes]:
        async with self._readers:
            async for event in events(self._test, self._watch, self._changed):
                yield event

    async def _start(self, request: Request) -> Response:
        same_origin(request)
        try:
            spec = run_spec(await read_json(request), self._settings)
            run = self._test.start(spec)
        except FieldError as error:
            return JSONResponse({"field": error.field, "error": str(error)}, status_code=422)
        except RunRefused as error:
            return JSONResponse({"error": str(error)}, status_code=409)
        return JSONResponse({"id": run.id}, status_code=201)

    async def _stop(self, request: Request) -> Response:
        same_origin(request)
        body = await read_json(request)
        self._test.stop(now=body.get("now") is True)
        return JSONResponse({}, status_code=202)

    async def _image(self, request: Request) -> Response:
        run = self._test.run
        image = None
        if run is not None and request.path_params["run_id"] == run.id:
            image = self._test.images.get(request.path_params["number"])
        if image is None:
            raise HTTPException(404, "This picture is not kept (any more).")
        return Response(
            image,
            media_type="image/png",
            headers={"Cache-Control": "private, max-age=86400, immutable"},
        )


async def _refusal(_request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)
