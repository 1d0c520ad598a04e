"""A client written against the documentation of AUTOMATIC1111's API, and a server to talk to."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

IMAGE = Path(__file__).parent.parent
POD = "sd-demo-00001-abcde"


class Client:
    """The calls as https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/API has them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=60)

    def post(self, path: str, payload: dict[str, Any] | None = None) -> httpx.Response:
        return self.http.post(f"/sdapi/v1/{path}", json=payload if payload is not None else {})

    def get(self, path: str) -> Any:
        answer = self.http.get(f"/sdapi/v1/{path}")
        answer.raise_for_status()
        return answer.json()

    def txt2img(self, prompt: str = "", **fields: Any) -> dict[str, Any]:
        answer = self.post("txt2img", {"prompt": prompt, **fields})
        answer.raise_for_status()
        return answer.json()

    def picture(self, prompt: str = "", **fields: Any) -> Image.Image:
        return opened(self.txt2img(prompt, **fields)["images"][0])


def opened(text: str) -> Image.Image:
    # As clients do it: some servers put a data: prefix before the base64.
    picture = Image.open(io.BytesIO(base64.b64decode(text.split(",", 1)[-1])))
    picture.load()
    return picture


@dataclass
class Running:
    """A server process and a client of it."""

    process: subprocess.Popen[bytes]
    client: Client

    def until_sampling(self, step: int = 1) -> dict[str, Any]:
        """Wait until the job in work has made so many steps."""
        for _ in range(2000):
            now = self.client.get("progress?skip_current_image=true")
            if now["state"]["sampling_step"] >= step:
                return now
            time.sleep(0.005)
        raise AssertionError(f"no picture is in work: {now}")

    def until_idle(self) -> None:
        for _ in range(2000):
            if self.client.get("progress?skip_current_image=true")["state"]["job_count"] == 0:
                return
            time.sleep(0.005)
        raise AssertionError("still at work")

    def terminate(self, *, within: float) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)


@contextmanager
def started(
    *flags: str, env: dict[str, str] | None = None, patience: float = 60
) -> Iterator[Running]:
    """A server on a free port of the loopback, up within `patience` seconds, ended at the end.

    The port is told by the environment; `{port}` in a flag stands for it too.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "launch.py",
            "--skip-torch-cuda-test",
            "--api",
            "--loglevel",
            "warning",
            *(flag.format(port=port) for flag in flags),
        ],
        cwd=IMAGE,
        env={**os.environ, "HOSTNAME": POD, "PORT": str(port), **(env or {})},
    )
    try:
        running = Running(process, Client(f"http://127.0.0.1:{port}"))
        wait_for_health(running, patience)
        yield running
    finally:
        process.kill()
        process.wait()


def wait_for_health(running: Running, patience: float) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if running.process.poll() is not None:
            raise AssertionError(f"the server ended with {running.process.returncode}")
        try:
            if running.client.http.get("/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError("the server did not come up")


def info_of(answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(answer["info"])


def png_text(size: tuple[int, int] = (64, 64), color: str = "red") -> str:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
