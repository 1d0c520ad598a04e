"""The HAProxy of a running platform, killed, and when it is there again."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from tests.e2e.platform import Platform
from tidegate.gateway.haproxy import paths


async def kill_proxy(platform: Platform) -> float:
    """SIGKILL; returns the seconds until somebody listens again."""
    file = paths.prepare(platform.data_dir).pid_file
    began = time.monotonic()
    os.kill(int(file.read_text().split()[0]), signal.SIGKILL)
    async with asyncio.timeout(30):
        while not await _answers(platform):  # noqa: ASYNC110 - nobody tells when it listens
            await asyncio.sleep(0.005)
    return time.monotonic() - began


async def _answers(platform: Platform) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", platform.gateway_port)
    except OSError:
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.1 404")
    except OSError:
        return False
    finally:
        writer.close()
