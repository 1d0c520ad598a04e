"""gRPC through the gateway: a real client and a real server, plain and over TLS."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.gateway.grpc_model import _MEGABYTES, REVISION, GrpcWorld

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("over_tls", [False, True], ids=["h2c", "tls"])
@pytest.mark.parametrize("limit", [0, 1], ids=["unlimited", "limited"])
async def test_all_four_kinds_of_calls(model: GrpcWorld, limit: int, over_tls: bool) -> None:
    await model.deploy(limit=limit)
    channel = model.channel(over_tls=over_tls)

    metadata = (("tidegate-debug", "1"),)
    call = channel.unary_unary("/model.Model/Echo")(b"hello", timeout=30, metadata=metadata)
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


@pytest.mark.usefixtures("usual_second")
@pytest.mark.parametrize("limit", [0, 1], ids=["unlimited", "limited"])
async def test_streams_may_be_silent_for_longer_than_their_beginning_may_take(
    model: GrpcWorld, limit: int
) -> None:
    await model.deploy(limit=limit)
    channel = model.channel()

    tokens = channel.unary_stream("/model.Model/Tokens")(b"", timeout=30)
    assert await tokens.read() == b"first"
    await asyncio.sleep(2.5)
    model.model.go.set()
    assert await tokens.read() == b"second"
    assert await tokens.read() is grpc.aio.EOF

    chat = channel.stream_stream("/model.Model/Chat")(timeout=30)
    for word in (b"one", b"two"):
        await chat.write(word)
        assert await chat.read() == b"you said " + word
        await asyncio.sleep(2.5)
    await chat.done_writing()
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
