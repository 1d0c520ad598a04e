"""The console's pages and streams. All of them read; none changes anything."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, cast
from urllib.parse import quote

import orjson
import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from tidegate.console.access import Guard
from tidegate.console.catalog import Catalog
from tidegate.console.charts import RANGES, Charts, range_named
from tidegate.console.logs import TAIL_LINES, log_events, log_text
from tidegate.console.middleware import Door
from tidegate.console.presenter import Presenter
from tidegate.console.pulse import Pulse
from tidegate.console.settings import LogReader
from tidegate.console.streams import EventStream, event
from tidegate.console.templating import STATIC, render
from tidegate.kube.errors import ApiError, NotFound
from tidegate.kube.objects import Key, Object, name_of
from tidegate.observability.assembly import Observability
from tidegate.observability.exposition import CONTENT_TYPE

_COOKIE_SECONDS = 30 * 86_400
_LONGEST_QUERY = 253
_MOST_SHOWN = 16


class Pages:
    """The handlers; `app` is the ASGI application."""

    def __init__(
        self,
        *,
        guard: Guard,
        catalog: Catalog,
        presenter: Presenter,
        observability: Observability,
        logs: LogReader,
        pulse: Pulse,
    ) -> None:
        self._guard = guard
        self._catalog = catalog
        self._presenter = presenter
        self._observability = observability
        self._logs = logs
        self._pulse = pulse
        self._shown: dict[str, tuple[int, str]] = {}
        inner = Starlette(
            routes=[
                Route("/", self._services),
                Route("/services/{namespace}/{name}", self._service),
                Route("/services/{namespace}/{name}/yaml", self._yaml),
                Route("/pods/{namespace}/{name}/log", self._log),
                Route("/pods/{namespace}/{name}/log.txt", self._log_text),
                Route("/live/services", self._live_services),
                Route("/live/services/{namespace}/{name}", self._live_service),
                Route("/live/pods/{namespace}/{name}/log", self._live_log),
                Route("/metrics", self._metrics),
                Route("/login", self._login),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            exception_handlers={HTTPException: _http_error, ApiError: _api_error},
        )
        self.app: ASGIApp = Door(inner, guard=guard, refuse=Starlette(routes=self._refusals()))

    def _refusals(self) -> list[Route]:
        return [
            Route("/", self._token_or_refusal),
            Route("/{rest:path}", _refuse),
        ]

    async def _token_or_refusal(self, request: Request) -> Response:
        if "token" in request.query_params:
            return await self._login(request)
        return await _refuse(request)

    async def _login(self, request: Request) -> Response:
        """Exchange the token in the URL for a cookie, and take it out of the URL."""
        if not self._guard.is_token(request.query_params.get("token", "")):
            return HTMLResponse(render("login.html", is_wrong=True), 401)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self._guard.cookie_name,
            self._guard.cookie_value,
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="lax",
        )
        return response

    async def _services(self, request: Request) -> Response:
        if "token" in request.query_params:
            return await self._login(request)
        filters = _filters(request)
        return HTMLResponse(
            render(
                "services.html",
                overview=self._presenter.overview(**filters),
                filters=filters,
                live=f"/live/services?{_query(filters)}",
            )
        )

    async def _live_services(self, request: Request) -> Response:
        filters = _filters(request)

        def content() -> str:
            overview = self._presenter.overview(**filters)
            return render("services_live.html", overview=overview, filters=filters)

        return self._stream(self._shared(f"?{_query(filters)}", content), None)

    async def _service(self, request: Request) -> Response:
        key = _key(request)
        detail = self._presenter.detail(key)
        if detail is None:
            raise NotFound(f"There is no service {key}.")
        choice = range_named(request.query_params.get("range", ""))
        return HTMLResponse(
            render(
                "service.html",
                detail=detail,
                choice=choice,
                ranges=RANGES,
                live=f"/live/services/{key.namespace}/{key.name}?range={choice.name}",
            )
        )

    async def _live_service(self, request: Request) -> Response:
        key = _key(request)
        choice = range_named(request.query_params.get("range", ""))
        charts = Charts(self._observability.store, choice)

        def content() -> str:
            detail = self._presenter.detail(key)
            if detail is None:
                return render("gone.html", key=key)
            return render("service_live.html", detail=detail, choice=choice, ranges=RANGES)

        def series() -> dict[str, Any] | None:
            return charts.update(self._presenter.revision_keys(key))

        return self._stream(self._shared(f"{key}?{choice.name}", content), series)

    async def _yaml(self, request: Request) -> Response:
        key = _key(request)
        service = self._catalog.service(key)
        if service is None:
            raise NotFound(f"There is no service {key}.")
        revisions = self._catalog.revisions(key)
        chosen = request.query_params.get("revision", "")
        shown = next((r for r in revisions if name_of(r) == chosen), service)
        return HTMLResponse(
            render(
                "yaml.html",
                key=key,
                chosen=name_of(shown) if shown is not service else "",
                revisions=[name_of(revision) for revision in revisions],
                text=_yaml_text(shown),
            )
        )

    async def _log(self, request: Request) -> Response:
        key = _key(request)
        containers = self._containers(key)
        container = request.query_params.get("container") or containers[0]
        if container not in containers:
            raise NotFound(f"The pod {key} has no container {container}.")
        base = f"/pods/{key.namespace}/{key.name}/log"
        return HTMLResponse(
            render(
                "log.html",
                key=key,
                service=self._service_of(key),
                container=container,
                containers=containers,
                live=f"/live{base}?container={quote(container)}",
                text=f"{base}.txt?container={quote(container)}",
                tail=TAIL_LINES,
            )
        )

    async def _log_text(self, request: Request) -> Response:
        container = request.query_params.get("container", "")
        return PlainTextResponse(await log_text(self._logs, _key(request), container))

    async def _live_log(self, request: Request) -> Response:
        key = _key(request)
        container = request.query_params.get("container", "")
        leave = self._pulse.enter()
        events = log_events(self._logs, key, container, closed=self._pulse.closed)
        return EventStream(events, leave=leave)

    async def _metrics(self, _request: Request) -> Response:
        return Response(await self._observability.metrics(), media_type=CONTENT_TYPE)

    def _shared(self, page: str, content: Callable[[], str]) -> Callable[[], str]:
        """`content`, made once for all who look at the same page at the same time."""

        def text() -> str:
            version, known = self._shown.get(page, (-1, ""))
            if version == self._pulse.version:
                return known
            self._shown.pop(page, None)
            if len(self._shown) >= _MOST_SHOWN:
                del self._shown[next(iter(self._shown))]
            made = content()
            self._shown[page] = (self._pulse.version, made)
            return made

        return text

    def _stream(
        self, content: Callable[[], str], series: Callable[[], dict[str, Any] | None] | None
    ) -> Response:
        leave = self._pulse.enter()
        return EventStream(self._events(content, series), leave=leave)

    async def _events(
        self, content: Callable[[], str], series: Callable[[], dict[str, Any] | None] | None
    ) -> AsyncGenerator[bytes]:
        shown = ""
        async for _ in self._pulse.beats():
            text = content()
            if text != shown:
                shown = text
                yield event(text)
            columns = series() if series is not None else None
            if columns is not None:
                yield event(orjson.dumps(columns).decode(), name="series")

    def _containers(self, key: Key) -> list[str]:
        pod = self._catalog.pod(key)
        if pod is None:
            raise NotFound(f"There is no pod {key} (any more).")
        return [str(container["name"]) for container in pod["spec"]["containers"]]

    def _service_of(self, key: Key) -> Key | None:
        pod = self._catalog.pod(key)
        return self._catalog.owner(pod) if pod is not None else None


def _filters(request: Request) -> dict[str, str]:
    return {
        "namespace": request.query_params.get("namespace", "")[:_LONGEST_QUERY],
        "query": request.query_params.get("query", "").strip()[:_LONGEST_QUERY],
    }


def _query(filters: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in filters.items() if value)


def _key(request: Request) -> Key:
    return Key(request.path_params["namespace"], request.path_params["name"])


def _yaml_text(obj: Object) -> str:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    shown = {**obj, "metadata": metadata}
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100)


async def _refuse(request: Request) -> Response:
    if request.url.path == "/metrics" or request.url.path.startswith("/live/"):
        return PlainTextResponse(
            "The console's token is wanted: `Authorization: Bearer <token>`.\n",
            401,
            {"WWW-Authenticate": "Bearer"},
        )
    return HTMLResponse(render("login.html", is_wrong=False), 401)


async def _http_error(_request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    return _error_page(refusal.status_code, refusal.detail)


async def _api_error(_request: Request, error: Exception) -> Response:
    refusal = cast("ApiError", error)
    return _error_page(refusal.code, refusal.message)


def _error_page(code: int, message: str) -> Response:
    return HTMLResponse(render("error.html", code=code, message=message), code)
