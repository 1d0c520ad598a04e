"""A whole API server on a free port, with httpx and the real kubectl in front of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tidegate.apiserver.assembly import ApiServer, ApiServerSettings, build
from tidegate.kube.clock import SystemClock

KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not on PATH")


@dataclass(frozen=True)
class Output:
    """What one run of kubectl gave."""

    code: int
    out: str
    err: str


class Face:
    """One running server and its clients."""

    def __init__(self, server: ApiServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self._clients: list[httpx.AsyncClient] = []

    def tls(self, *, certificate: bool = True) -> ssl.SSLContext:
        """What a client needs to be the administrator, or nobody."""
        pki = self.directory / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        if certificate:
            context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return context

    def http(self, *, token: str = "", certificate: bool = True) -> httpx.AsyncClient:
        """A client that trusts the server's authority, by default the administrator's."""
        context = self.tls(certificate=certificate and not token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.AsyncClient(
            base_url=self.server.url, verify=context, headers=headers, trust_env=False, timeout=60
        )
        self._clients.append(client)
        return client

    async def kubectl(self, *arguments: str, stdin: str = "", home: str = "home") -> Output:
        """Run kubectl to its end."""
        assert KUBECTL is not None
        process = await asyncio.create_subprocess_exec(
            KUBECTL,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(home),
        )
        try:
            async with asyncio.timeout(30):
                out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Output(process.returncode or 0, out.decode(), err.decode())

    async def start_kubectl(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start kubectl; the caller ends it."""
        assert KUBECTL is not None
        return await asyncio.create_subprocess_exec(
            KUBECTL,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._environment("home"),
        )

    async def ok(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl, which must succeed, and return its output."""
        output = await self.kubectl(*arguments, stdin=stdin)
        assert output.code == 0, output.err + output.out
        return output.out

    async def account(self, name: str, namespace: str = "default") -> httpx.AsyncClient:
        """A client that acts as a new service account, by its token."""
        admin = self.http()
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        response = await admin.post(path, json={"metadata": {"name": name}})
        assert response.status_code == 201, response.text
        response = await admin.post(f"{path}/{name}/token", json={})
        assert response.status_code == 201, response.text
        return self.http(token=response.json()["status"]["token"])

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    def _environment(self, home: str) -> dict[str, str]:
        directory = self.directory / home
        directory.mkdir(exist_ok=True)
        return {
            "HOME": str(directory),
            "KUBECONFIG": str(self.server.kubeconfig_path),
            "PATH": os.environ["PATH"],
        }


@asynccontextmanager
async def running_face(directory: Path) -> AsyncIterator[Face]:
    """A server that keeps everything in `directory`, until the context ends."""
    server = build(ApiServerSettings(directory, port=0), SystemClock())
    running = asyncio.create_task(server.run())
    ready = asyncio.create_task(server.wait_ready())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    face = Face(server, directory)
    try:
        yield face
    finally:
        await face.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
