"""The ASGI application of the service's own page."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from portal.errors import GatewayUnknown, KubernetesError
from portal.gateway import Gateway, GatewayFinder
from portal.proxy.http import HttpProxy
from portal.proxy.unavailable import refuse
from portal.proxy.websocket import forward_websocket


class ServicePageProxy:
    """Forwards every request and websocket to the service, through the gateway."""

    def __init__(self, finder: GatewayFinder, *, service: str) -> None:
        self._finder = finder
        self._service = service
        self._http = HttpProxy(finder, service=service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        try:
            gateway = await self._finder.find()
        except (GatewayUnknown, KubernetesError) as error:
            await refuse(scope, receive, send, service=self._service, reason=str(error))
            return
        await self._forward(gateway, scope, receive, send)

    async def aclose(self) -> None:
        """Close the connections to the gateway."""
        await self._http.aclose()

    async def _forward(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await forward_websocket(gateway, scope, receive, send)
        else:
            await self._http.forward(gateway, scope, receive, send)
