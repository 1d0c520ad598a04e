"""The portal's surroundings in small, over real sockets: a Kubernetes API and a gateway.

The API speaks TLS with a certificate of its own authority and checks the bearer token. The
gateway does what a test tells it to.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

SERVICE = "knative-sd-demo"
HOST = "knative-sd-demo.default.example.com"


def png(colour: tuple[int, int, int], size: int = 8) -> bytes:
    """A square of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + bytes(colour) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def pod(name: str, *, ready: bool = True, created: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    """A Pod as the API gives it."""
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "labels": {
                "serving.knative.dev/service": SERVICE,
                "serving.knative.dev/revision": f"{SERVICE}-00001",
            },
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running" if ready else "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
        },
    }


def ingress(address: str, port: int, *, host: str = HOST) -> dict[str, Any]:
    """The Ingress of the service's route."""
    return {
        "metadata": {"name": SERVICE},
        "spec": {"rules": [{"host": host}]},
        "status": {
            "loadBalancer": {
                "ingress": [{"ip": address, "ports": [{"port": port, "protocol": "TCP"}]}]
            }
        },
    }


@dataclass
class FakeKubernetes:
    """Lists pods and gets the ingress; `forbidden` names the resources that get a 403."""

    pods: list[dict[str, Any]] = field(default_factory=list)
    ingress: dict[str, Any] | None = None
    forbidden: set[str] = field(default_factory=set)
    token: str = "first-token"
    asked: set[tuple[str, str]] = field(default_factory=set)
    selectors: list[str] = field(default_factory=list)
    listed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def app(self) -> ASGIApp:
        """Also notes what is asked for, whether it is there or not."""
        routes = self._routes

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                self.asked.add((scope["method"], scope["path"]))
            await routes(scope, receive, send)

        return noting

    @property
    def _routes(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/api/v1/namespaces/default/pods", self._pods),
                Route(
                    f"/apis/networking.k8s.io/v1/namespaces/default/ingresses/{SERVICE}",
                    self._ingress,
                ),
            ]
        )

    async def _pods(self, request: Request) -> Response:
        self.selectors.append(request.query_params.get("labelSelector", ""))
        self.listed.set()
        return self._refusal(request, "pods") or JSONResponse({"items": self.pods})

    async def _ingress(self, request: Request) -> Response:
        if refusal := self._refusal(request, "ingresses"):
            return refusal
        if self.ingress is None:
            return JSONResponse({"message": "ingress not found"}, status_code=404)
        return JSONResponse(self.ingress)

    def _refusal(self, request: Request, resource: str) -> Response | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return JSONResponse({"message": "Unauthorized"}, status_code=401)
        if resource in self.forbidden:
            return JSONResponse({"message": f"{resource} is forbidden"}, status_code=403)
        return None


Painter = Callable[["FakeGateway", dict[str, Any]], Awaitable[Response]]


def picture(name: str, *, colour: tuple[int, int, int] = (9, 9, 9), **headers: str) -> Response:
    """A txt2img answer of the pod `name`."""
    body = {"images": [base64.b64encode(png(colour)).decode()], "parameters": {}, "info": ""}
    return JSONResponse(
        body, headers={"X-Pod": name, **{k.replace("_", "-"): v for k, v in headers.items()}}
    )


async def paint_at_once(gateway: FakeGateway, payload: dict[str, Any]) -> Response:
    """The painter of tests that do not care how."""
    return picture(f"pod-{payload['seed'] % 3}", Server_Timing="queue;dur=250, service;dur=750.5")


@dataclass
class FakeGateway:
    """Counts what is in flight and lets `painter` answer txt2img."""

    painter: Painter = paint_at_once
    payloads: list[dict[str, Any]] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def app(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/sdapi/v1/txt2img", self._txt2img, methods=["POST"]),
                Route("/echo{rest:path}", self._echo, methods=["GET", "PUT", "DELETE", "POST"]),
                Route("/stream", self._stream),
                Route("/hang", self._hang),
                Route("/moved", self._moved),
                WebSocketRoute("/socket", self._socket),
            ]
        )

    async def until_arrived(self, count: int) -> None:
        """Wait until so many txt2img requests have come in all."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.payloads) >= count)

    async def _txt2img(self, request: Request) -> Response:
        self.seen.append(request)
        payload = await request.json()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        async with self.arrived:
            self.payloads.append(payload)
            self.arrived.notify_all()
        try:
            return await self.painter(self, payload)
        finally:
            self.in_flight -= 1

    async def _echo(self, request: Request) -> Response:
        body = {
            "method": request.method,
            "target": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "headers": [[n.decode(), v.decode()] for n, v in request.headers.raw],
            "body": (await request.body()).decode(),
        }
        response = JSONResponse(body, headers={"X-Kept": "yes", "Keep-Alive": "timeout=5"})
        response.headers.append("Set-Cookie", "sd=pod-a; Path=/; Domain=.example.com; HttpOnly")
        response.headers.append("Set-Cookie", "theme=dark; Path=/")
        return response

    async def _stream(self, _request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await self.release.wait()
            yield b"second"

        return StreamingResponse(parts(), media_type="text/event-stream")

    async def _hang(self, request: Request) -> Response:
        async with self.arrived:
            self.payloads.append({})
            self.arrived.notify_all()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        return Response()

    async def _moved(self, _request: Request) -> Response:
        return Response(status_code=302, headers={"Location": f"http://{HOST}/echo?x=1"})

    async def _socket(self, websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="graphs")
        await websocket.send_text(websocket.headers["host"] + websocket.cookies.get("sd", ""))
        while (text := await websocket.receive_text()) != "bye":
            await websocket.send_text(text.upper())
        await websocket.close(4000, "as you wish")


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self):
        yield


async def serve_app(
    app: ASGIApp, listener: socket.socket, stop: asyncio.Event, **options: Any
) -> None:
    """Serve an application until `stop` is set."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="error",
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
        **options,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        await stop.wait()
        server.should_exit = True


@dataclass
class Authority:
    """A certificate authority with one server certificate, and a ServiceAccount directory."""

    directory: Path

    def __post_init__(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        self.keyfile = str(self.directory / "server.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(self.keyfile)
        authority.cert_pem.write_to_path(str(self.directory / "ca.crt"))

    def write_token(self, token: str) -> None:
        (self.directory / "token").write_text(token)
