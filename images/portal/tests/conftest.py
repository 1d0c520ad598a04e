from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from portal.serving import listen, serve
from portal.settings import Settings
from tests.fakes import Authority, FakeGateway, FakeKubernetes, ingress, serve_app


@dataclass
class Portal:
    """A running portal and its surroundings."""

    kubernetes: FakeKubernetes
    gateway: FakeGateway
    authority: Authority
    client: httpx.AsyncClient
    service_page: httpx.AsyncClient
    service_page_port: int
    stop: asyncio.Event

    async def start_run(self, **changes: Any) -> httpx.Response:
        spec = {"prompt": "cat", "concurrency": 3, "total": 7, **changes}
        return await self.client.post("/api/run", json=spec)

    async def stop_run(self, *, now: bool = False) -> None:
        response = await self.client.post("/api/run/stop", json={"now": now})
        assert response.status_code == 202

    async def until(self, condition: Callable[[Told], bool]) -> Told:
        """What a freshly loaded page has been told when the condition comes true."""
        told = Told()
        async with (
            asyncio.timeout(20),
            self.client.stream("GET", "/api/events") as response,
            aclosing(response.aiter_lines()) as lines,
        ):
            async for line in lines:
                if line.startswith("data: "):
                    told.take(json.loads(line[6:]))
                    if condition(told):
                        return told
        raise AssertionError("the stream of events ended")

    async def until_over(self) -> Told:
        return await self.until(lambda told: told.run.get("status") in ("finished", "stopped"))


class Told:
    """What a page knows from the events, put together as the page does it."""

    def __init__(self) -> None:
        self.run: dict[str, Any] = {}
        self.pods: dict[str, Any] = {"pods": [], "error": "", "forbidden": False}
        self.shots: dict[int, dict[str, Any]] = {}
        self.samples: list[list[float]] = []
        self.messages = 0

    def take(self, message: dict[str, Any]) -> None:
        self.messages += 1
        self.pods = message.get("pods", self.pods)
        self.run = message.get("run", self.run)
        self.shots.update({shot["number"]: shot for shot in message.get("shots", [])})
        self.samples.extend(message.get("samples", []))

    def states(self) -> list[str]:
        return [self.shots[number]["state"] for number in sorted(self.shots)]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def portal(authority: Authority) -> AsyncIterator[Portal]:
    kubernetes, gateway = FakeKubernetes(), FakeGateway()
    authority.write_token(kubernetes.token)
    tls = {"ssl_keyfile": authority.keyfile, "ssl_certfile": authority.keyfile}
    listeners = [listen("127.0.0.1", 0) for _ in range(4)]
    api, gate, pages, service_page = listeners
    api_port, gate_port, pages_port, service_page_port = (s.getsockname()[1] for s in listeners)
    kubernetes.ingress = ingress("127.0.0.1", gate_port)
    settings = Settings(
        kubernetes_host="127.0.0.1",
        kubernetes_port=api_port,
        service_account_dir=authority.directory,
        poll_interval=0.02,
        request_timeout=5.0,
    )
    stop = asyncio.Event()
    async with (
        asyncio.TaskGroup() as group,
        _client(pages_port) as client,
        _client(service_page_port) as page,
    ):
        group.create_task(serve_app(kubernetes.app, api, stop, **tls))
        group.create_task(serve_app(gateway.app, gate, stop))
        group.create_task(serve(settings, pages=pages, service_page=service_page, stop=stop))
        try:
            yield Portal(kubernetes, gateway, authority, client, page, service_page_port, stop)
        finally:
            gateway.release.set()
            stop.set()


def _client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
