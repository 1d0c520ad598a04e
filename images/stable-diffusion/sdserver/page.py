"""The page at `/` and the stream behind its Generate button.

One request carries a picture's whole life, as lines of JSON: a pod behind a gateway that lets one
request in at a time would keep a second one, asking for progress, waiting until the first is done.
Leaving the stream drops the picture.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from . import generation, pictures
from .schemas import Options, Txt2Img
from .studio import Job, Studio
from .web import ApiError, parse

STATIC = Path(__file__).parent / "static"
PREVIEW_EVERY = 0.2  # seconds; decoding one costs about as much as a step


class Page:
    """Handlers of the page."""

    def __init__(self, studio: Studio, pod: str) -> None:
        self._studio = studio
        self._pod = pod

    async def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def generate(self, request: Request) -> Response:
        """Lines of JSON: `progress` with a preview now and then, then `image` each, or `error`."""
        asked = await parse(request, Txt2Img)
        works = await asyncio.to_thread(generation.works_of, self._studio, asked)
        return StreamingResponse(
            self._life(asked, Job(works)),
            media_type="application/x-ndjson",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _life(self, asked: Txt2Img, job: Job) -> AsyncIterator[bytes]:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        job.on_change = lambda: loop.call_soon_threadsafe(changed.set)
        making = asyncio.ensure_future(generation.make(self._studio, job))
        making.add_done_callback(lambda _: changed.set())
        began = time.monotonic()
        try:
            yield line({"type": "waiting", "pod": self._pod, "images": len(job.works)})
            shown = 0.0
            while not making.done():
                await changed.wait()
                changed.clear()
                with_preview = (
                    time.monotonic() - shown >= PREVIEW_EVERY and job.state.preview is not None
                )
                if with_preview:
                    shown = time.monotonic()
                yield line(await self._progress(job, with_preview=with_preview))
            made = making.result()
            body = await asyncio.to_thread(
                generation.answer, self._studio, asked, job, made, Options()
            )
            seconds = round(time.monotonic() - began, 3)
            for image, work in zip(body["images"], job.works, strict=False):
                text = generation.describe(self._studio, work)
                yield line({"type": "image", "image": image, "seed": work.seed, "infotext": text,
                            "pod": self._pod, "seconds": seconds})  # fmt: skip
            yield line({"type": "done"})
        except ApiError as error:
            yield line({"type": "error", "detail": error.detail})
        finally:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)

    async def _progress(self, job: Job, *, with_preview: bool) -> dict[str, Any]:
        state, preview = job.state, None
        if with_preview and state.preview:
            picture = await asyncio.to_thread(state.preview)
            preview = pictures.to_base64(pictures.to_png(picture))
        return {
            "type": "progress",
            "progress": round(job.progress, 4),
            "picture": state.picture,
            "step": state.step,
            "steps": state.steps,
            "eta": round(job.seconds_left, 2),
            "preview": preview,
        }


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"
