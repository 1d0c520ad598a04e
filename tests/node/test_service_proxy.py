"""Addresses of Services: which get them, how connections go through, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import RunningApi, running_api
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.informer import Informers
from tidegate.kube.objects import Object
from tidegate.kube.resources import ENDPOINT_SLICES, EVENTS, SERVICES
from tidegate.node.service_proxy.controller import ServiceProxy, explain
from tidegate.node.service_proxy.listeners import (
    Listener,
    endpoints_of,
    free_address,
    is_served,
    listeners_of,
    load_balancer_of,
)
from tidegate.node.service_proxy.proxy import TcpProxy, is_taken


def service(name: str = "web", kind: str = "ClusterIP", **changes: Any) -> Object:
    spec: dict[str, Any] = {
        "type": kind,
        "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"}],
        **changes.pop("spec", {}),
    }
    metadata = {"name": name, "namespace": "default", **changes}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def endpoint_slice(name: str, port: int, *, ready: bool = True, service: str = "web") -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}],
    }


@contextlib.asynccontextmanager
async def backend(name: str) -> AsyncIterator[int]:
    """A server that answers its name and what it was sent, once the client has sent all of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        writer.write(name.encode() + b":" + data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(address: str, port: int, data: bytes = b"hello") -> bytes:
    """The whole answer; empty when the connection is closed without one."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(data)
        writer.write_eof()
        return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[tuple[RunningApi, ServiceProxy]]:
    async with running_api(tmp_path) as api:
        clock = SystemClock()
        client = api.client()
        informers = Informers(client, clock=clock)
        proxy = ServiceProxy(Context(client, informers, clock), bind="127.0.0.1")

        async def live() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(informers.run())
                group.create_task(proxy.run())

        task = asyncio.create_task(live())
        yield api, proxy
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_load_balancer_gets_an_address_that_answers(
    proxied: tuple[RunningApi, ServiceProxy],
) -> None:
    api, _ = proxied
    client = api.client()
    async with backend("one") as port:
        await client.create(SERVICES, service(kind="LoadBalancer"))
        await client.create(ENDPOINT_SLICES, endpoint_slice("one", port))
        found: list[str] = []

        async def has_address() -> bool:
            status = (await client.get(SERVICES, "web", namespace="default")).get("status") or {}
            found[:] = [i["ip"] for i in status.get("loadBalancer", {}).get("ingress") or ()]
            return bool(found)

        await api.eventually(has_address)
        assert found[0].startswith("127.88.")

        async def answers() -> bool:
            try:
                return await ask(found[0], 8080) == b"one:hello"
            except OSError:
                return False

        await api.eventually(answers)
        await client.delete(SERVICES, "web", namespace="default")

        async def refuses() -> bool:
            # A connection that came in the very moment of closing may get no answer at all.
            try:
                async with asyncio.timeout(1):
                    await ask(found[0], 8080)
            except TimeoutError:
                return False
            except OSError:
                return True
            return False

        await api.eventually(refuses)


async def test_a_port_in_use_is_told_and_the_others_are_served(
    proxied: tuple[RunningApi, ServiceProxy],
) -> None:
    api, proxy = proxied
    client = api.client()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        # Another run of the tests on this machine may have the usual port.
        own = free_port()
        ports = [{"name": "http", "port": own, "nodePort": number, "protocol": "TCP"}]
        async with backend("one") as port:
            await client.create(ENDPOINT_SLICES, endpoint_slice("one", port))
            wanted = service(kind="NodePort", spec={"ports": ports, "clusterIP": "127.96.3.4"})
            await proxy_reconciles(api, proxy, wanted)

            async def told() -> bool:
                events = (await client.list(EVENTS)).items
                return any(
                    e["reason"] == "ListenFailed"
                    and f"127.0.0.1:{number}" in e["message"]
                    and "another program" in e["message"]
                    for e in events
                )

            async def answers() -> bool:
                return await ask("127.96.3.4", own) == b"one:hello"

            await api.eventually(told)
            await api.eventually(answers)


async def proxy_reconciles(api: RunningApi, proxy: ServiceProxy, wanted: Object) -> None:
    # The embedded API would refuse a node port out of its range: the informer is fed instead.
    created = {**wanted, "metadata": {**wanted["metadata"], "uid": "1", "resourceVersion": "1"}}
    await proxy._services.wait_synced()
    proxy._services._put(("default", "web"), created)  # type: ignore[arg-type]


async def test_connections_go_round_robin_past_dead_endpoints() -> None:
    async with backend("one") as one, backend("two") as two:
        endpoints = [("127.0.0.1", one), ("127.0.0.1", 1), ("127.0.0.1", two)]
        proxy = TcpProxy(lambda: endpoints)
        port = free_port()
        proxy.open("127.0.0.1", port)
        answers = [await ask("127.0.0.1", port) for _ in range(6)]
        assert set(answers) == {b"one:hello", b"two:hello"}
        endpoints.clear()
        assert await ask("127.0.0.1", port) == b""
        await proxy.close()


async def test_large_answers_come_whole_after_the_client_has_closed_its_side() -> None:
    async with backend("one") as one:
        proxy = TcpProxy(lambda: [("127.0.0.1", one)])
        port = free_port()
        proxy.open("127.0.0.1", port)
        data = b"x" * (4 << 20)
        assert await ask("127.0.0.1", port, data) == b"one:" + data
        await proxy.close()


async def test_connections_beyond_the_bound_wait() -> None:
    async with backend("one") as one:
        proxy = TcpProxy(lambda: [("127.0.0.1", one)], max_connections=1)
        port = free_port()
        proxy.open("127.0.0.1", port)
        _, holder = await asyncio.open_connection("127.0.0.1", port)
        waiting = asyncio.create_task(ask("127.0.0.1", port))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        holder.close()
        assert await waiting == b"one:hello"
        await proxy.close()


@pytest.mark.parametrize("rounds", range(6))
async def test_who_comes_in_the_moment_of_closing_is_closed_too(rounds: int) -> None:
    """Wherever the connection has got to by then, after so many rounds of the loop."""
    proxy = TcpProxy(list)
    port = free_port()
    proxy.open("127.0.0.1", port)
    await asyncio.sleep(0)
    with socket.create_connection(("127.0.0.1", port)) as client:
        for _ in range(rounds):
            await asyncio.sleep(0)
        await proxy.close()
        client.settimeout(5)
        # A connection that nobody has closed is found by the garbage collector, which pytest tells.
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("changed", "served"),
    [
        ({}, True),
        ({"spec": {"selector": None}}, False),
        ({"spec": {"type": "ExternalName"}}, False),
        ({"spec": {"clusterIP": "None"}}, False),
        ({"spec": {"loadBalancerClass": "example.com/other"}}, False),
        ({"labels": {"serving.knative.dev/revision": "a"}}, False),
        ({"labels": {"networking.internal.knative.dev/serviceType": "Private"}}, False),
    ],
)
def test_which_services_are_served(changed: dict[str, Any], served: bool) -> None:
    assert is_served(service(**changed)) is served


def test_listeners() -> None:
    ports = [
        {"name": "http", "port": 80, "nodePort": 30080},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    wanted = service(kind="LoadBalancer", spec={"clusterIP": "127.96.0.9", "ports": ports})
    assert listeners_of(wanted, bind="0.0.0.0", load_balancer="127.88.0.1") == {
        Listener("127.96.0.9", 80, "http"),
        Listener("127.88.0.1", 80, "http"),
        Listener("0.0.0.0", 30080, "http"),
    }


def test_endpoints_are_the_ready_ones_of_the_named_port() -> None:
    slices = [
        endpoint_slice("a", 1001),
        endpoint_slice("b", 1002, ready=False),
        {**endpoint_slice("c", 1003), "ports": [{"name": "other", "port": 1003}]},
        {**endpoint_slice("d", 1004), "endpoints": [{"addresses": ["127.0.0.2"]}]},
    ]
    assert endpoints_of(slices, "http") == [("127.0.0.1", 1001), ("127.0.0.2", 1004)]


@pytest.mark.parametrize(
    ("written", "address"),
    [("127.88.0.7", "127.88.0.7"), ("10.0.0.1", ""), ("a.example.com", ""), ("", "")],
)
def test_only_addresses_of_this_nodes_network_are_taken_from_a_status(
    written: str, address: str
) -> None:
    status = {"loadBalancer": {"ingress": [{"ip": written}]}}
    assert load_balancer_of({**service(), "status": status}) == address


def test_free_addresses_come_from_the_bottom() -> None:
    assert free_address([], lambda _: True) == "127.88.0.1"
    assert free_address(["127.88.0.1", "127.88.0.3"], lambda _: True) == "127.88.0.2"
    assert free_address(["127.88.0.1"], lambda a: not a.endswith(".2")) == "127.88.0.3"


def test_an_address_another_program_uses_is_seen() -> None:
    with socket.socket() as other:
        other.bind(("127.88.255.1", 0))
        port = other.getsockname()[1]
        other.listen()
        assert is_taken("127.88.255.1", port)
        assert not is_taken("127.88.255.2", port)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "sudo sysctl net.ipv4.ip_unprivileged_port_start=80"),
        (errno.EADDRINUSE, "another program does"),
        (errno.EADDRNOTAVAIL, "Cannot assign requested address"),
    ],
)
def test_why_a_socket_cannot_be_opened(number: int, words: str) -> None:
    error = OSError(number, os.strerror(number))
    message = explain(Listener("127.88.0.1", 80, "http"), error)
    assert "127.88.0.1:80" in message
    assert words in message
    assert "other ports are served" in message
