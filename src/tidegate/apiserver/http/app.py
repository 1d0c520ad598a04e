"""The ASGI application: who asks, may they, is there room, and every failure as a `Status`."""

from __future__ import annotations

import asyncio
import logging

from tidegate.apiserver.audit import AuditLog
from tidegate.apiserver.authn.authenticator import Authenticator
from tidegate.apiserver.authn.identities import ANONYMOUS
from tidegate.apiserver.authn.impersonation import impersonated, required_permissions
from tidegate.apiserver.authz.authorizer import RbacAuthorizer
from tidegate.apiserver.authz.rbac import Action
from tidegate.apiserver.http.exchange import ClientGoneError, Exchange, Receive, Scope, Send
from tidegate.apiserver.http.fairness import Fairness
from tidegate.apiserver.http.metering import RequestMeter
from tidegate.apiserver.http.pages import PUBLIC, Pages
from tidegate.apiserver.http.paths import parse_resource_path
from tidegate.apiserver.http.rest import Call, ResourceHandler
from tidegate.apiserver.http.websockets import exchange_of
from tidegate.apiserver.refusals import Timeout
from tidegate.apiserver.requests import User
from tidegate.kube.errors import ApiError, BadRequest, Forbidden, InternalError, Unauthorized

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 60.0
_SOCKETS = frozenset(("attach", "exec", "portforward"))


class Application:
    """Serves requests of one server."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        authorizer: RbacAuthorizer,
        resources: ResourceHandler,
        pages: Pages,
        fairness: Fairness,
        audit: AuditLog,
        meter: RequestMeter,
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._resources = resources
        self._pages = pages
        self._fairness = fairness
        self._audit = audit
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = scope["type"] == "websocket"
        exchange = (exchange_of if websocket else Exchange)(scope, receive, send)
        served, began = _Served(), self._meter.now()
        try:
            await self._serve(exchange, served)
        except ClientGoneError:
            return
        except ApiError as error:
            await _refuse(exchange, error)
        except RecursionError:
            await _refuse(exchange, BadRequest("the object is nested too deeply"))
        except Exception:
            logger.exception("%s %s failed", exchange.method, exchange.uri)
            await _refuse(exchange, InternalError("an internal error occurred; see the log"))
        finally:
            self._meter.record(exchange, served.call, began)
            self._audit.record(
                user=served.user,
                verb=served.verb or exchange.method.lower(),
                method=exchange.method,
                uri=exchange.uri,
                source=exchange.source,
                code=exchange.code,
            )

    async def _serve(self, exchange: Exchange, served: _Served) -> None:
        served.user = user = self._user(exchange)
        target = parse_resource_path(exchange.path)
        if target is None:
            _refuse_socket(exchange)
            served.verb = "get" if exchange.method in ("GET", "HEAD") else exchange.method.lower()
            self._authorize_path(user, served.verb, exchange.path)
            await self._pages.handle(exchange)
            return
        call = self._resources.understand(exchange, user, target)
        served.call, served.verb = call, call.verb
        if call.verb == "watch" or target.subresource in _SOCKETS:
            await self._resources.handle(call)
            return
        _refuse_socket(exchange)
        if target.subresource == "log":
            await self._resources.handle(call)
            return
        agent = exchange.headers.get("user-agent", "").partition("/")[0]
        async with self._fairness.seat(f"{user.name} {agent}"):
            with self._meter.working(call):
                await self._handle_in_time(call)

    async def _handle_in_time(self, call: Call) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await self._resources.handle(call)
        except TimeoutError as error:
            raise Timeout("the request did not complete within the allotted timeout") from error

    def _user(self, exchange: Exchange) -> User:
        authorization = exchange.headers.get("authorization", "")
        if exchange.socket is not None and exchange.socket.bearer:
            authorization = f"Bearer {exchange.socket.bearer}"
        try:
            user = self._authenticator.authenticate(authorization, exchange.certificate)
        except Unauthorized as error:
            # Why credentials are not good is for our log, not for whoever sent them.
            logger.info("%s %s from %s: %s", exchange.method, exchange.path, exchange.source, error)
            raise Unauthorized("Unauthorized") from error
        if user is None:
            if exchange.path.rstrip("/") in PUBLIC and exchange.method in ("GET", "HEAD"):
                return ANONYMOUS
            raise Unauthorized("Unauthorized")
        wanted = impersonated(exchange.header_lists("impersonate-"))
        if wanted is None:
            return user
        self._authorize_impersonation(exchange, user, wanted)
        return wanted

    def _authorize_impersonation(self, exchange: Exchange, user: User, wanted: User) -> None:
        groups = tuple(exchange.header_lists("impersonate-").get("impersonate-group", ()))
        for action in required_permissions(wanted, groups):
            if not self._authorizer.decide(user, action).allowed:
                raise Forbidden(
                    f'{action.resource} "{action.name}" is forbidden: User "{user.name}" cannot '
                    f'impersonate resource "{action.resource}" in API group "{action.group}" '
                    "at the cluster scope",
                    resource=action.resource,
                    group=action.group,
                    name=action.name,
                )

    def _authorize_path(self, user: User, verb: str, path: str) -> None:
        if user is ANONYMOUS:
            return
        if not self._authorizer.decide(user, Action(verb, path=path)).allowed:
            raise Forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{path}"')


def _refuse_socket(exchange: Exchange) -> None:
    if exchange.socket is not None:
        raise BadRequest("WebSockets are served for watches, attach, exec and port-forward only")


class _Served:
    """What became known of a request, for the audit log and the figures."""

    user: User | None = None
    call: Call | None = None
    verb: str = ""


async def _refuse(exchange: Exchange, error: ApiError) -> None:
    if exchange.code:
        # The response has begun: to leave it without its end is all that can still be said.
        logger.info("%s %s was cut off: %s", exchange.method, exchange.uri, error)
        return
    await exchange.reply_error(error)
