"""Sends one text-to-image request through the gateway and reads its answer.

Each request has a connection of its own and carries no cookie: session affinity would send
them all to the same pod, and the test is about spreading.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Protocol, cast

import httpx

from portal.errors import GatewayUnknown, KubernetesError, RequestFailed
from portal.gateway import Gateway, GatewayFinder
from portal.pressure.state import Answer

MOST_ANSWER_BYTES = 16 * 1024 * 1024
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CONNECT_SECONDS = 10.0


class Sender(Protocol):
    """What the runner needs: a prompt and a seed go out, an answer comes back."""

    async def send(self, prompt: str, seed: int) -> Answer:
        """Raises RequestFailed with a reason to show."""
        ...


class GatewaySender:
    """Sends through the gateway that the finder names."""

    def __init__(self, finder: GatewayFinder, *, path: str, timeout: float) -> None:
        self._finder = finder
        self._path = path
        self._timeout = timeout
        # No connection is kept, so every request opens its own; a transport has no cookie jar.
        self._transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=False,
        )

    async def send(self, prompt: str, seed: int) -> Answer:
        """Post one request.

        Raises:
            RequestFailed: no picture came; the message is the reason.
        """
        try:
            async with asyncio.timeout(self._timeout):
                gateway = await self._finder.find()
                return await self._post(gateway, {"prompt": prompt, "seed": seed})
        except TimeoutError:
            raise RequestFailed(f"No answer within {self._timeout:g} s.") from None
        except (GatewayUnknown, KubernetesError) as error:
            raise RequestFailed(str(error)) from error

    async def aclose(self) -> None:
        """Close what is open."""
        await self._transport.aclose()

    async def _post(self, gateway: Gateway, payload: dict[str, Any]) -> Answer:
        request = httpx.Request(
            "POST",
            gateway.url + self._path,
            headers={"Host": gateway.host, "Accept": "application/json", "Tidegate-Debug": "1"},
            json=payload,
            extensions={"timeout": {"connect": CONNECT_SECONDS, "pool": None}},
        )
        try:
            response = await self._transport.handle_async_request(request)
            try:
                body = await _bounded_body(response)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._finder.forget()
            raise RequestFailed(f"The gateway at {gateway.authority} refused: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            detail = str(error) or type(error).__name__
            raise RequestFailed(f"The connection broke off: {detail}") from error
        if response.status_code != 200:
            raise RequestFailed(_refusal(response, body))
        image = await asyncio.to_thread(picture_of, body)
        queued, service = times_of(response.headers)
        return Answer(image, response.headers.get("X-Pod", ""), queued, service)


async def _bounded_body(response: httpx.Response) -> bytes:
    parts = bytearray()
    async for part in response.aiter_bytes():
        parts += part
        if len(parts) > MOST_ANSWER_BYTES:
            raise RequestFailed(f"The answer is larger than {MOST_ANSWER_BYTES >> 20} MiB.")
    return bytes(parts)


def picture_of(body: bytes) -> bytes:
    """The first picture of a text-to-image answer.

    Raises:
        RequestFailed: the answer is no JSON, has no picture, or the picture is no PNG.
    """
    try:
        image = base64.b64decode(json.loads(body)["images"][0].rpartition(",")[2], validate=True)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, binascii.Error):
        raise RequestFailed("The answer holds no picture (images[0] in base64).") from None
    if not image.startswith(PNG_SIGNATURE):
        raise RequestFailed("The picture in the answer is no PNG.")
    return image


def times_of(headers: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Seconds in the queue and in service, from `Server-Timing` or `Tidegate-Queued-Ms`.

    Server-Timing (W3C) gives milliseconds, as in `queue;dur=1200.5, service;dur=830`.
    """
    told = {
        name.lower(): float(duration) / 1000
        for name, duration in re.findall(
            r"([\w-]+)\s*(?:;[^,;]*)*?;\s*dur\s*=\s*\"?(\d+(?:\.\d+)?)",
            headers.get("Server-Timing", ""),
        )
    }
    queued = next((told[name] for name in ("queue", "queued") if name in told), None)
    if queued is None:
        queued = _milliseconds(headers.get("Tidegate-Queued-Ms", ""))
    return queued, told.get("service")


def _milliseconds(text: str) -> float | None:
    return float(text) / 1000 if re.fullmatch(r"\d+(\.\d+)?", text) else None


def _refusal(response: httpx.Response, body: bytes) -> str:
    reason = f"{response.status_code} {response.reason_phrase}".strip()
    said = _said(body)
    return f"{reason}: {said}" if said else f"{reason}."


def _said(body: bytes) -> str:
    """What an error body says, in one short line; nothing for a page of HTML."""
    text = body[:4096].decode("utf-8", "replace").strip()
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        return "" if text.startswith("<") else " ".join(text.split())[:200]
    fields = cast(dict[str, Any], parsed) if isinstance(parsed, dict) else {}
    said = next((fields[k] for k in ("detail", "message", "error") if fields.get(k)), text)
    return (said if isinstance(said, str) else json.dumps(said))[:200]
