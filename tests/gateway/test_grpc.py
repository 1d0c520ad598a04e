"""gRPC through the gateway: a real client and a real server, plain and over TLS."""

# ruff: noqa: ARG002 - handlers are called with all arguments

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.gateway.test_tls import TlsWorld, authority, write_pair
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


@pytest_asyncio.fixture
async def model(tmp_path: Path) -> AsyncIterator[GrpcWorld]:
    signer = authority("signer")
    certificate, key = write_pair(tmp_path, "ca", signer)
    settings = TlsSettings(free_port(), authority_certificate=certificate, authority_key=key)
    async with running_gateway(tmp_path, tls=settings) as world:
        running = GrpcWorld(world, TlsWorld(world, settings.port, signer))
        try:
            yield running
        finally:
            await running.close()


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("over_tls", [False, True], ids=["h2c", "tls"])
@pytest.mark.parametrize("limit", [0, 1], ids=["unlimited", "limited"])
async def test_all_four_kinds_of_calls(model: GrpcWorld, limit: int, over_tls: bool) -> None:
    await model.deploy(limit=limit)
    channel = model.channel(over_tls=over_tls)

    call = channel.unary_unary("/model.Model/Echo")(b"hello", timeout=30)
    assert await call == b"hello"
    assert dict(await call.trailing_metadata()) == {"x-cost": "7", "x-bin-bin": b"\x00\xff"}
    assert dict(await call.initial_metadata())["tidegate-pod"] == "model-a"

    tokens = channel.unary_stream("/model.Model/Tokens")(b"", timeout=30)
    assert await tokens.read() == b"first"
    model.model.go.set()
    assert await tokens.read() == b"second"
    assert await tokens.read() is grpc.aio.EOF

    upload = channel.stream_unary("/model.Model/Upload")(timeout=30)
    for _ in range(20):
        await upload.write(b"x" * 100_000)
    await upload.done_writing()
    assert await upload == b"2000000"

    chat = channel.stream_stream("/model.Model/Chat")(timeout=30)
    for word in (b"one", b"two", b"three"):
        await chat.write(word)
        assert await chat.read() == b"you said " + word
    await chat.done_writing()
    assert await chat.read() is grpc.aio.EOF
    assert await chat.code() is grpc.StatusCode.OK


async def test_failures_arrive_with_their_status_and_words(model: GrpcWorld) -> None:
    await model.deploy()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await model.channel().unary_unary("/model.Model/Fail")(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == "no GPU: 100 % in use"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await model.channel().unary_unary("/model.Model/Nothing")(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_of_megabytes_goes_both_ways(model: GrpcWorld) -> None:
    await model.deploy(limit=1)
    message = bytes(range(256)) * (_MEGABYTES // 256)
    got = await model.channel().unary_unary("/model.Model/Echo")(message, timeout=60)
    assert got == message


async def test_the_limit_holds_over_the_streams_of_one_connection(model: GrpcWorld) -> None:
    await model.deploy(limit=2)
    wait = model.channel().unary_unary("/model.Model/Wait")
    calls = [wait(str(number).encode(), timeout=60) for number in range(8)]
    await model.world.demand(REVISION, in_flight=2, queued=6)
    await model.world.api.eventually(lambda: model.model.active == 2)
    model.model.go.set()
    assert [await call for call in calls] == [str(number).encode() for number in range(8)]
    assert model.model.most == 2


async def test_a_call_that_finds_no_pod_is_held_and_told(model: GrpcWorld) -> None:
    await model.deploy(limit=1, ready=False)
    call = model.channel().unary_unary("/model.Model/Echo")(b"early", timeout=60)
    waiting = asyncio.ensure_future(call.code())
    await model.world.demand(REVISION, held=1)
    await model.start_pod()
    assert await waiting is grpc.StatusCode.OK
    assert await call == b"early"
    assert float(dict(await call.initial_metadata())["tidegate-cold-start"]) > 0


async def test_a_deadline_ends_the_call_and_reaches_the_pod(model: GrpcWorld) -> None:
    await model.deploy()
    call = model.channel().unary_unary("/model.Model/Wait")(b"", timeout=1)
    await model.world.api.eventually(lambda: model.model.active == 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await model.world.api.eventually(lambda: model.model.active == 0)


async def test_a_cancelled_call_without_a_limit_ends_in_the_pod(model: GrpcWorld) -> None:
    await model.deploy()
    call = model.channel().unary_unary("/model.Model/Wait")(b"", timeout=60)
    await model.world.api.eventually(lambda: model.model.active == 1)
    call.cancel()
    await model.world.api.eventually(lambda: model.model.cancelled == 1)
    assert await model.channel().unary_unary("/model.Model/Echo")(b"on", timeout=30) == b"on"
