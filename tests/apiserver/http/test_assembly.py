"""The server as a part of a process: starting, stopping, starting again."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tidegate.apiserver.assembly import ApiServer, ApiServerSettings, build
from tidegate.kube.clock import SystemClock
from tidegate.kube.errors import UserError
from tidegate.kube.objects import is_condition_true
from tidegate.kube.resources import (
    CLUSTER_ROLES,
    CUSTOM_RESOURCE_DEFINITIONS,
    ENDPOINT_SLICES,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)


@asynccontextmanager
async def running(directory: Path, *, port: int = 0) -> AsyncIterator[ApiServer]:
    server = build(ApiServerSettings(directory, port=port), SystemClock())
    task = asyncio.create_task(server.run())
    await server.wait_ready()
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def versions(server: ApiServer) -> dict[str, str]:
    client = server.client("test", ["system:masters"])
    return {
        f"{resource.plural}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for resource in (NAMESPACES, CLUSTER_ROLES, SERVICES)
        for item in (await client.list(resource)).items
    }


async def test_a_second_start_writes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        before, port = await versions(server), server.port
    assert {"namespaces/default", "clusterroles/cluster-admin", "services/kubernetes"} <= set(
        before
    )
    async with running(tmp_path, port=port) as server:
        assert await versions(server) == before


async def test_tokens_outlive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        client = server.client("test", ["system:masters"])
        body = {"metadata": {"name": "a", "namespace": "default"}}
        account = await client.create(SERVICE_ACCOUNTS, body)
        token, _ = server.issue_token(namespace="default", name="a", uid=account["metadata"]["uid"])
    async with running(tmp_path) as server:
        context = ssl.create_default_context(cadata=server.root_ca)
        async with httpx.AsyncClient(verify=context, trust_env=False) as http:
            headers = {"authorization": f"Bearer {token}"}
            assert (await http.get(f"{server.url}/api", headers=headers)).status_code == 200


async def test_the_api_finds_itself_on_its_new_port(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    async with running(tmp_path) as server:
        client = server.client("test", ["system:masters"])
        endpoints = await client.get(ENDPOINT_SLICES, "kubernetes", namespace="default")
        assert endpoints["ports"][0]["port"] == server.port
        service = await client.get(SERVICES, "kubernetes", namespace="default")
        assert service["spec"]["clusterIP"] == "127.96.0.1"
        assert service["spec"]["ports"][0]["targetPort"] == server.port


async def test_custom_kinds_are_served_from_the_first_request_on(tmp_path: Path) -> None:
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    things = Resource("example.com", "v1", "Thing", "things", namespaced=False)
    async with running(tmp_path) as server:
        client = server.client("test", ["system:masters"])
        async with client.watch(CUSTOM_RESOURCE_DEFINITIONS) as events:
            await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
            async for event in events:
                if is_condition_true(event.object, "Established"):
                    break
        await client.create(things, {"metadata": {"name": "a"}})
    async with running(tmp_path) as server:
        client = server.client("test", ["system:masters"])
        assert len((await client.list(things)).items) == 1


async def test_a_busy_port_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
            build(ApiServerSettings(tmp_path, port=port), SystemClock())


async def test_nothing_is_readable_by_others(tmp_path: Path) -> None:
    async with running(tmp_path / "home"):
        found = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
        assert len(found) > 5
        for path in found:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_stopping_is_quick_with_idle_clients(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        context = ssl.create_default_context(cadata=server.root_ca)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 2
    writer.transport.abort()
