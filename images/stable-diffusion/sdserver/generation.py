"""From a request to its pictures: seeds, checks, waiting with an eye on the client, the answer."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any

from PIL import Image
from starlette.requests import Request

from . import pictures
from .engines.base import Work
from .schemas import MAX_PICTURES, Img2Img, Options, Txt2Img
from .studio import Busy, Ending, Job, Studio
from .web import CLIENT_GONE, ApiError, bad_field

RETRY_SOON = {"Retry-After": "1"}


def works_of(studio: Studio, asked: Txt2Img) -> list[Work]:
    """One work per picture, with seeds counting up; raises 422 for what the engine cannot do."""
    count = asked.batch_size * asked.n_iter
    if count > MAX_PICTURES:
        raise bad_field(
            "n_iter", f"n_iter x batch_size is {count}, more than {MAX_PICTURES}", asked.n_iter
        )
    check_model(studio, asked)
    init = None
    if isinstance(asked, Img2Img):
        try:
            init = pictures.from_base64(asked.init_images[0])
        except pictures.PictureError as error:
            raise bad_field("init_images", str(error)) from error
    seed = asked.seed if asked.seed >= 0 else secrets.randbelow(2**32)
    base = Work(
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt,
        seed=seed,
        steps=asked.steps,
        width=asked.width,
        height=asked.height,
        cfg_scale=asked.cfg_scale,
        sampler=sampler_of(studio, asked),
        init_image=init,
        denoising_strength=asked.denoising_strength if isinstance(asked, Img2Img) else 0.75,
    )
    return [replace_seed(base, seed + number) for number in range(count)]


def replace_seed(work: Work, seed: int) -> Work:
    return Work(**{**work.__dict__, "seed": seed})


def sampler_of(studio: Studio, asked: Txt2Img) -> str:
    wanted = asked.sampler_name.lower()
    for sampler in studio.engine.samplers:
        if wanted in (sampler.name.lower(), *sampler.aliases):
            return sampler.name
    known = ", ".join(s.name for s in studio.engine.samplers)
    raise bad_field("sampler_name", f"unknown; there are {known}", asked.sampler_name)


def check_model(studio: Studio, asked: Txt2Img) -> None:
    wanted = asked.override_settings.get("sd_model_checkpoint")
    if wanted and not is_model(studio, wanted):
        raise bad_field("override_settings", f"no such model; there is {title(studio)}", wanted)


def is_model(studio: Studio, wanted: object) -> bool:
    return wanted in (studio.engine.name, title(studio), studio.engine.model_hash[:10])


def title(studio: Studio) -> str:
    return f"{studio.engine.name} [{studio.engine.model_hash[:10]}]"


async def make(studio: Studio, job: Job) -> list[Image.Image]:
    """The studio's pictures; its refusals as answers."""
    try:
        return await studio.make(job)
    except Busy:
        raise ApiError(503, "too many requests wait for this process", RETRY_SOON) from None
    except Ending:
        raise ApiError(503, "this process is ending; try again", RETRY_SOON) from None


async def make_while_connected(studio: Studio, job: Job, request: Request) -> list[Image.Image]:
    """As `make`, but drops the job when the client closes the connection."""
    making = asyncio.ensure_future(make(studio, job))
    leaving = asyncio.ensure_future(client_left(request))
    try:
        await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            raise ApiError(CLIENT_GONE, "the client left")
        return making.result()
    finally:
        for task in (making, leaving):
            task.cancel()
        await asyncio.gather(making, leaving, return_exceptions=True)


async def client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def describe(studio: Studio, work: Work) -> str:
    return pictures.infotext(work, model=studio.engine.name, model_hash=studio.engine.model_hash)


def answer(
    studio: Studio, asked: Txt2Img, job: Job, made: list[Image.Image], options: Options
) -> dict[str, Any]:
    """The body for `made`, which may be fewer than asked for; encodes PNGs, so call in a thread."""
    works = job.works[: len(made)]
    texts = [describe(studio, work) for work in works]
    images = [
        pictures.to_base64(pictures.to_png(picture, text if options.enable_pnginfo else None))
        for picture, text in zip(made, texts, strict=True)
    ]
    parameters = asked.model_dump()
    if isinstance(asked, Img2Img) and not asked.include_init_images:
        parameters["init_images"] = None
    first = job.works[0]
    info = {
        "prompt": first.prompt,
        "all_prompts": [w.prompt for w in works],
        "negative_prompt": first.negative_prompt,
        "all_negative_prompts": [w.negative_prompt for w in works],
        "seed": first.seed,
        "all_seeds": [w.seed for w in works],
        "width": first.width,
        "height": first.height,
        "sampler_name": first.sampler,
        "cfg_scale": first.cfg_scale,
        "steps": first.steps,
        "batch_size": asked.batch_size,
        "sd_model_name": studio.engine.name,
        "sd_model_hash": studio.engine.model_hash[:10],
        "denoising_strength": first.denoising_strength if first.init_image else None,
        "infotexts": texts,
        "index_of_first_image": 0,
        "job_timestamp": timestamp(job),
        "interrupted": job.interrupted.is_set(),
    }
    return {
        "images": images if asked.send_images else [],
        "parameters": parameters,
        "info": json.dumps(info),
    }


def timestamp(job: Job) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(job.created))
