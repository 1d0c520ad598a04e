"""The questions a probe asks: HTTP, TCP, gRPC, a command in the container.

Ports are translated to the pod's real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.kube.objects import Object
from tidegate.node.probes.grpc import check_health
from tidegate.node.probes.timing import Answer, Check

HOST = "127.0.0.1"
_HEAD_LIMIT = 16 << 10
_OUTPUT_LIMIT = 10 << 10


@dataclass(frozen=True)
class Target:
    """The container that is asked.

    Attributes:
        ports: container port -> real port.
        port_names: the container's named ports -> container port.
        env, working_dir: where commands run.
        prefix: what makes a command run inside the container.
    """

    ports: Mapping[int, int]
    port_names: Mapping[str, int]
    env: Mapping[str, str]
    working_dir: Path
    prefix: tuple[str, ...] = ()

    def real_port(self, port: int | str) -> int:
        """The port to connect to for a probe's `port`."""
        number = self.port_names.get(str(port)) or int(port)
        return self.ports.get(number, number)


def check_of(handler: Object, target: Target, *, timeout: float) -> Check:
    """The check that a probe (or a life-cycle hook) describes."""

    async def check() -> Answer:
        try:
            async with asyncio.timeout(timeout):
                return await _ask(handler, target)
        except TimeoutError:
            return Answer(False, f"no answer within {timeout:g} s")
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
            return Answer(False, str(e) or type(e).__name__)

    return check


async def _ask(handler: Object, target: Target) -> Answer:
    if "httpGet" in handler:
        return await _http(handler["httpGet"], target)
    if "exec" in handler:
        return await run_command(handler["exec"].get("command") or (), target)
    if "tcpSocket" in handler:
        return await _tcp(handler["tcpSocket"], target)
    if "grpc" in handler:
        action = handler["grpc"]
        port = target.real_port(action["port"])
        return await check_health(HOST, port, str(action.get("service") or ""))
    return Answer(True)


async def _tcp(action: Object, target: Target) -> Answer:
    _, writer = await asyncio.open_connection(
        action.get("host") or HOST, target.real_port(action["port"])
    )
    await _close(writer)
    return Answer(True)


async def _http(action: Object, target: Target) -> Answer:
    port = target.real_port(action["port"])
    host = action.get("host") or HOST
    context = _unverified() if action.get("scheme") == "HTTPS" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_HEAD_LIMIT)
    try:
        writer.write(_request(action, f"{host}:{port}"))
        line = await reader.readuntil(b"\n")
    finally:
        await _close(writer)
    parts = line.split(maxsplit=2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        return Answer(False, "the answer is not HTTP")
    status = int(parts[1])
    if 200 <= status < 400:
        return Answer(True)
    return Answer(False, f"HTTP probe failed with statuscode: {status}")


def _request(action: Object, authority: str) -> bytes:
    given: list[Any] = action.get("httpHeaders") or []
    headers = {
        "Host": authority,
        "User-Agent": "kube-probe/1.32",
        "Accept": "*/*",
        "Connection": "close",
        **{str(header["name"]).title(): str(header["value"]) for header in given},
    }
    path = str(action.get("path") or "/")
    if not path.startswith("/"):
        path = f"/{path}"
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(c in line for line in lines for c in "\r\n"):
        raise ValueError("a line break in the probe's path or headers")
    return "\r\n".join([*lines, "", ""]).encode()


async def run_command(command: Sequence[str], target: Target) -> Answer:
    """Run a command as the container would; its output is the message when it fails."""
    if not command:
        return Answer(False, "the command is empty")
    process = await asyncio.create_subprocess_exec(
        *target.prefix,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=None if target.prefix else target.working_dir,
        env=dict(target.env),
        start_new_session=True,
    )
    try:
        output = await _read_limited(process)
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Answer(code == 0, output.decode(errors="replace").strip())


async def _read_limited(process: asyncio.subprocess.Process) -> bytes:
    kept = b""
    if process.stdout is None:
        return kept
    while data := await process.stdout.read(_HEAD_LIMIT):
        kept = (kept + data)[:_OUTPUT_LIMIT]
    return kept


async def _close(writer: asyncio.StreamWriter) -> None:
    # The answer is known: a server too busy to say goodbye in TLS has not failed.
    writer.transport.abort()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


def _unverified() -> ssl.SSLContext:
    # Kubernetes' probes do not verify certificates.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
