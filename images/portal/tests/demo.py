"""Look at the pages without a cluster: `make demo`, then open the address that is printed.

A small imitation of an elastic service stands behind the portal: a pod for each request that
finds none free, up to five; each makes one picture in about a second; idle pods leave.
"""

from __future__ import annotations

import asyncio
import colorsys
import datetime
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from portal.serving import listen, serve
from portal.settings import Settings
from tests.fakes import (
    SERVICE,
    Authority,
    FakeGateway,
    FakeKubernetes,
    ingress,
    picture,
    pod,
    serve_app,
)

COLD_START = 1.8
IDLE = 12.0


@dataclass
class ElasticService:
    """Pods that come with the requests and go when they are idle."""

    kubernetes: FakeKubernetes
    free: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def paint(self, gateway: FakeGateway, payload: dict[str, Any]) -> Response:
        arrived = time.monotonic()
        fails = len(gateway.payloads) % 11 == 0
        if not self.free and len(self.kubernetes.pods) < 5:
            task = asyncio.create_task(self._start_pod())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        async with self.changed:
            await self.changed.wait_for(lambda: self.free)
            name = min(self.free)
            del self.free[name]
        began = time.monotonic()
        await asyncio.sleep(random.uniform(0.7, 1.4))
        async with self.changed:
            self.free[name] = time.monotonic()
            self.changed.notify_all()
        if fails:
            return JSONResponse({"detail": "CUDA out of memory"}, status_code=500)
        colour = colorsys.hls_to_rgb(payload["seed"] % 360 / 360, 0.6, 0.6)
        queued, served = (began - arrived) * 1000, (time.monotonic() - began) * 1000
        return picture(
            name,
            colour=tuple(int(part * 255) for part in colour),
            Server_Timing=f"queue;dur={queued:.1f}, service;dur={served:.1f}",
        )

    async def _start_pod(self) -> None:
        name = f"{SERVICE}-00001-deployment-6f7d9c-{random.randbytes(3).hex()[:5]}"
        created = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        starting = pod(name, ready=False, created=created)
        self.kubernetes.pods.append(starting)
        await asyncio.sleep(COLD_START * random.uniform(0.8, 1.3))
        self.kubernetes.pods[self.kubernetes.pods.index(starting)] = pod(name, created=created)
        async with self.changed:
            self.free[name] = time.monotonic()
            self.changed.notify_all()

    async def let_idle_pods_go(self) -> None:
        while True:
            await asyncio.sleep(1)
            idle = [name for name, since in self.free.items() if time.monotonic() - since > IDLE]
            for leaving in self.kubernetes.pods:
                if leaving["metadata"]["name"] in idle:
                    leaving["metadata"]["deletionTimestamp"] = "now"
            for name in idle:
                del self.free[name]
            await asyncio.sleep(1)
            self.kubernetes.pods = [
                p for p in self.kubernetes.pods if p["metadata"]["name"] not in idle
            ]


async def main(directory: Path) -> None:
    authority = Authority(directory)
    kubernetes = FakeKubernetes()
    service = ElasticService(kubernetes)
    gateway = FakeGateway(painter=service.paint)
    authority.write_token(kubernetes.token)
    api, gate, pages, page = (listen("127.0.0.1", 0) for _ in range(4))
    kubernetes.ingress = ingress("127.0.0.1", gate.getsockname()[1])
    settings = Settings(
        kubernetes_host="127.0.0.1",
        kubernetes_port=api.getsockname()[1],
        service_account_dir=directory,
        service_page_url=f":{page.getsockname()[1]}/echo",
    )
    stop = asyncio.Event()
    tls = {"ssl_keyfile": authority.keyfile, "ssl_certfile": authority.keyfile}
    print(f"http://127.0.0.1:{pages.getsockname()[1]}/", flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_app(kubernetes.app, api, stop, **tls))
        group.create_task(serve_app(gateway.app, gate, stop))
        group.create_task(serve(settings, pages=pages, service_page=page, stop=stop))
        group.create_task(service.let_idle_pods_go())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
