"""A model that speaks gRPC, behind a gateway, plain and over TLS."""

# ruff: noqa: ARG002 - handlers are called with all arguments

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tests.gateway.tls import TlsWorld, authority, write_pair
from tests.gateway.world import World, free_port, running_gateway
from tidegate.gateway.assembly import TlsSettings

HOST = "model.default.localhost"
REVISION = "model-00001"
_MEGABYTES = 8 << 20
_SIZES = (
    ("grpc.max_receive_message_length", 2 * _MEGABYTES),
    ("grpc.max_send_message_length", 2 * _MEGABYTES),
)


@dataclass
class Model(grpc.GenericRpcHandler):
    """A service whose methods take and give bytes, and that counts what it is given at once."""

    active: int = 0
    most: int = 0
    cancelled: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def service(self, handler_call_details: Any) -> Any:
        name = handler_call_details.method.rpartition("/")[2]
        return {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Tokens": grpc.unary_stream_rpc_method_handler(self.tokens),
            "Upload": grpc.stream_unary_rpc_method_handler(self.upload),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }.get(name)

    async def echo(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-cost", "7"), ("x-bin-bin", b"\x00\xff")))
        return request

    async def wait(self, request: bytes, context: Any) -> bytes:
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1
        return request

    async def fail(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no GPU: 100 % in use")
        raise AssertionError

    async def tokens(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await self.go.wait()
        yield b"second"

    async def upload(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return str(sum([len(part) async for part in requests])).encode()

    async def chat(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for said in requests:
            yield b"you said " + said


class GrpcWorld:
    """A gateway with a revision that speaks gRPC; channels go through the gateway."""

    def __init__(self, world: World, tls: TlsWorld) -> None:
        self.world = world
        self.tls = tls
        self.model = Model()
        self._open: list[Any] = []

    async def deploy(self, *, limit: int = 0, ready: bool = True) -> None:
        container = {"name": "user-container", "image": "hello:1"}
        ports = [{"name": "h2c", "containerPort": 8080}]
        await self.world.revision(REVISION, limit=limit, containers=[{**container, "ports": ports}])
        await self.world.route("model", {REVISION: 100})
        if ready:
            await self.start_pod()

    async def start_pod(self) -> None:
        server = grpc.aio.server(options=_SIZES)
        server.add_generic_rpc_handlers((self.model,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._open.append(server)
        pod = await self.world.pod(REVISION, "model-a", ready=False)
        pod.port = port
        await self.world.endpoint(REVISION, pod)
        await self.world.in_rotation(REVISION, 1)

    def channel(self, *, over_tls: bool = False) -> Any:
        options = [("grpc.default_authority", HOST), *_SIZES]
        if over_tls:
            roots = self.tls.signer.certificate_pem
            channel = grpc.aio.secure_channel(
                f"127.0.0.1:{self.tls.port}",
                grpc.ssl_channel_credentials(roots),
                options=[*options, ("grpc.ssl_target_name_override", HOST)],
            )
        else:
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.world.port}", options=options)
        self._open.append(channel)
        return channel

    async def close(self) -> None:
        self.model.go.set()
        for opened in reversed(self._open):
            await (opened.stop(0) if isinstance(opened, grpc.aio.Server) else opened.close())
        # The traceback of a call that failed is a cycle that keeps the connection open.
        self._open.clear()
        gc.collect()


@asynccontextmanager
async def running_model(directory: Path) -> AsyncIterator[GrpcWorld]:
    """A gateway with an authority of its own for HTTPS; nothing is deployed."""
    signer = authority("signer")
    certificate, key = write_pair(directory, "ca", signer)
    settings = TlsSettings(free_port(), authority_certificate=certificate, authority_key=key)
    async with running_gateway(directory, tls=settings) as world:
        running = GrpcWorld(world, TlsWorld(world, settings.port, signer))
        try:
            yield running
        finally:
            await running.close()
