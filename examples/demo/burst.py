"""Image requests to the service: one, and many at a fixed concurrency."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

_TIMEOUT_SECONDS = 120.0
# Loading the certificates takes long enough to spoil the times of the requests beside it.
_TLS = ssl.create_default_context()


@dataclass(frozen=True)
class Image:
    """One answered request; times in seconds on the monotonic clock.

    Attributes:
        number: which request it was.
        pod: the pod that made the image.
        sent, dispatched, answered: when it left here, reached the pod, and came back.
        held: requests the pod held when this one came, as the pod counted them.
        png: the image.
        cold_start: seconds the request waited for its first pod, 0 when one was there.
    """

    number: int
    pod: str
    sent: float
    dispatched: float
    answered: float
    held: int
    png: bytes
    cold_start: float


@dataclass(frozen=True)
class Service:
    """Where the model answers: the gateway's address and the host name of the service."""

    gateway: str
    host: str

    async def generate(self, http: httpx.AsyncClient, prompt: str, *, number: int) -> Image:
        """Ask for one image.

        Raises:
            httpx.HTTPError: no answer, or one that is not 200.
        """
        sent = time.monotonic()
        answer = await http.post(
            f"{self.gateway}/sdapi/v1/txt2img",
            json={"prompt": prompt, "seed": 1000 + number},
            headers={"Host": self.host, "Tidegate-Debug": "1"},
        )
        answered = time.monotonic()
        answer.raise_for_status()
        queued = float(answer.headers["Tidegate-Queued-Ms"]) / 1000
        return Image(
            number=number,
            pod=answer.headers["Tidegate-Pod"],
            sent=sent,
            dispatched=sent + queued,
            answered=answered,
            held=int(answer.headers["X-Pod-Requests"]),
            png=base64.b64decode(answer.json()["images"][0]),
            cold_start=float(answer.headers.get("Tidegate-Cold-Start", 0)),
        )

    async def burst(
        self, prompt: str, *, total: int, concurrency: int, done: Callable[[Image], None]
    ) -> list[Image]:
        """`total` requests, never more than `concurrency` at once, each on its own connection."""
        numbers = iter(range(1, total + 1))
        images: list[Image] = []

        async def client() -> None:
            for number in numbers:
                async with new_client() as http:
                    image = await self.generate(http, prompt, number=number)
                images.append(image)
                done(image)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(client())
        return sorted(images, key=lambda image: image.number)


def new_client() -> httpx.AsyncClient:
    """An HTTP client for this machine, without proxies."""
    return httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False, verify=_TLS)
