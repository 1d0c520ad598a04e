"""Protocols beyond a request and its answer: WebSocket, event streams, uploads, HTTP/2 pods."""

from __future__ import annotations

import asyncio
from pathlib import Path

import websockets

from tests.gateway.world import World, free_port
from tidegate.gateway.haproxy import binary

_H2_ONLY = """
defaults
    mode http
    timeout client 5s
frontend pod
    bind 127.0.0.1:{port} proto h2
    http-request return status 200 content-type text/plain lf-string "%HV"
"""


async def test_a_websocket_goes_through_and_counts_as_one_request(world: World) -> None:
    async def echo(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        (pod,) = await world.service("ws", limit=1)
        pod.port = server.sockets[0].getsockname()[1]
        await world.endpoint("ws-00001", pod)
        await world.leads_to("ws-00001", pod)
        uri = f"ws://ws.default.localhost:{world.port}/"
        async with websockets.connect(uri, host="127.0.0.1", port=world.port) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            await world.demand("ws-00001", in_flight=1)
        await world.demand("ws-00001", in_flight=0)


async def test_a_large_upload_arrives_whole(world: World) -> None:
    (pod,) = await world.service("up", limit=1)
    answer = await world.fetch("up", "/headers", body=b"x" * 5_000_000)
    assert answer.status == 200
    assert answer.json()["headers"]["content-length"] == "5000000"
    assert pod.most == 1


async def test_chunks_of_a_stream_arrive_as_they_are_made(world: World) -> None:
    await world.service("sse", limit=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"GET /stream?chunks=3&ms=200 HTTP/1.1\r\nHost: sse.default.localhost\r\n\r\n")
    loop = asyncio.get_running_loop()
    await reader.readuntil(b"\r\n\r\n")
    times = []
    for _ in range(3):
        await reader.readuntil(b"data\r\n")
        times.append(loop.time())
    writer.close()
    assert times[2] - times[0] > 0.1


async def test_a_pod_whose_port_is_named_h2c_gets_http_2(world: World, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "pod.cfg"
    config.write_text(_H2_ONLY.format(port=port))
    process = await asyncio.create_subprocess_exec(
        binary.find(), "-db", "-f", config, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        container = {"name": "user-container", "image": "hello:1"}
        ports = [{"name": "h2c", "containerPort": 8080}]
        await world.revision("grpc-00001", limit=1, containers=[{**container, "ports": ports}])
        pod = await world.pod("grpc-00001", "grpc-a", ready=False)
        pod.port = port
        await world.endpoint("grpc-00001", pod)
        await world.route("grpc", {"grpc-00001": 100})

        answer = await world.fetch("grpc")

        assert answer.status == 200
        assert answer.body == b"HTTP/2.0"
    finally:
        process.kill()
        await process.wait()


async def test_clients_may_speak_http_2_with_prior_knowledge(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    head = await asyncio.wait_for(reader.readexactly(9), 5)
    writer.close()
    settings_frame = 4
    assert head[3] == settings_frame


async def test_two_requests_in_one_write_are_answered_in_order(world: World) -> None:
    (pod,) = await world.service("echo", limit=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    for number in range(2):
        writer.write(
            f"GET /work?ms=20&n={number} HTTP/1.1\r\nHost: echo.default.localhost\r\n\r\n".encode()
        )
    for _ in range(2):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
    assert pod.seen == ["/work?ms=20&n=0", "/work?ms=20&n=1"]
    assert pod.most == 1


async def test_a_long_pipeline_with_bodies_is_answered_in_order(world: World) -> None:
    (pod,) = await world.service("echo", limit=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    host = "Host: echo.default.localhost\r\n"
    for number in range(40):
        if number % 3:
            writer.write(f"GET /work?ms=1&n={number} HTTP/1.1\r\n{host}\r\n".encode())
        else:
            head = f"POST /work?ms=1&n={number} HTTP/1.1\r\n{host}Content-Length: 9\r\n\r\n"
            writer.write(head.encode() + b"GET / HTT")
    for _ in range(40):
        head_read = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        assert head_read.startswith(b"HTTP/1.1 200")
        length = int(head_read.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
    assert pod.seen == [f"/work?ms=1&n={number}" for number in range(40)]
    assert pod.most == 1
