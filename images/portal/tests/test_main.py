"""The program as a process: it listens on its two ports and ends on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

IMAGE = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until_served(url: str) -> httpx.Response:
    async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.ConnectError):
                return await client.get(url)
            await asyncio.sleep(0.05)


async def test_it_serves_two_ports_and_ends_on_sigterm() -> None:
    ports = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(ports[0]),
        "PORT_8888": str(ports[1]),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "main.py", cwd=IMAGE, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        page = await until_served(f"http://127.0.0.1:{ports[0]}/")
        service_page = await until_served(f"http://127.0.0.1:{ports[1]}/")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert page.status_code == 200
    assert service_page.status_code == 503
    assert "does not run in a cluster" in service_page.json()["error"]
    assert status == 0


def test_a_bad_setting_ends_the_program_with_its_name() -> None:
    result = subprocess.run(
        [sys.executable, "main.py"],
        cwd=IMAGE,
        env={"PATH": os.environ["PATH"], "PORT": "no"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert result.returncode == 2
    assert result.stderr == "portal: PORT must be a whole number, got 'no'\n"
