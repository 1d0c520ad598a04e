"""gRPC probes, asked of the health service of gRPC itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tidegate.kube.objects import Object
from tidegate.node.probes.checks import Target, check_of
from tidegate.node.probes.timing import Answer

HERE = Target({}, {}, {}, Path("/"))


@dataclass
class Server:
    port: int
    health: Any


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    yield Server(port, servicer)
    await running.stop(None)


async def asked(port: int, **action: Any) -> Answer:
    handler: Object = {"grpc": {"port": port, **action}}
    return await check_of(handler, HERE, timeout=5)()


async def test_a_server_says_whether_it_serves(server: Server) -> None:
    assert (await asked(server.port)).success
    states = health_pb2.HealthCheckResponse
    await server.health.set("models", states.SERVING)
    assert (await asked(server.port, service="models")).success
    await server.health.set("models", states.NOT_SERVING)
    answer = await asked(server.port, service="models")
    assert (answer.success, "NOT_SERVING" in answer.message) == (False, True)


async def test_an_unknown_service_is_a_failure(server: Server) -> None:
    answer = await asked(server.port, service="x" * 300)
    assert (answer.success, answer.message.startswith("gRPC status 5")) == (False, True)


@pytest.mark.parametrize("words", [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 64, b""])
async def test_what_is_no_grpc_is_a_failure(words: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(words)
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        answer = await asked(port)
    assert not answer.success
    assert answer.message


async def test_nobody_listening_is_a_failure(server: Server) -> None:
    assert not (await asked(1)).success
