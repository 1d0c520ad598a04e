"""The API under /sdapi/v1, as AUTOMATIC1111's web UI offers it."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import generation, pictures
from .schemas import (
    Img2Img,
    Model,
    Options,
    Pictures,
    PngInfo,
    PngInfoRequest,
    Progress,
    ProgressState,
    SamplerItem,
    Txt2Img,
)
from .studio import Job, Studio
from .web import ApiError, Endpoint, bad_field, parse, validation_detail


class Api:
    """The handlers; `endpoints` lists them."""

    def __init__(self, studio: Studio, flags: dict[str, Any]) -> None:
        self._studio = studio
        self._flags = flags
        self.options = Options(sd_model_checkpoint=generation.title(studio))

    def endpoints(self) -> list[Endpoint]:
        at = "/sdapi/v1"
        return [
            Endpoint(
                "POST", f"{at}/txt2img", self.txt2img, "Pictures from a prompt", Txt2Img, Pictures
            ),
            Endpoint(
                "POST", f"{at}/img2img", self.img2img, "Pictures from a picture", Img2Img, Pictures
            ),
            Endpoint("GET", f"{at}/progress", self.progress, "The job in work", None, Progress),
            Endpoint("POST", f"{at}/interrupt", self.interrupt, "End the job with what there is"),
            Endpoint(
                "POST", f"{at}/skip", self.skip, "End the picture in work, go on with the next"
            ),
            Endpoint("GET", f"{at}/options", self.get_options, "The options", None, Options),
            Endpoint("POST", f"{at}/options", self.set_options, "Set some options", Options),
            Endpoint("GET", f"{at}/sd-models", self.models, "The models", None, [Model]),
            Endpoint("GET", f"{at}/samplers", self.samplers, "The samplers", None, [SamplerItem]),
            Endpoint(
                "POST",
                f"{at}/png-info",
                self.png_info,
                "Parameters in a PNG",
                PngInfoRequest,
                PngInfo,
            ),
            Endpoint(
                "GET", f"{at}/cmd-flags", self.cmd_flags, "The flags the server was started with"
            ),
        ]

    async def txt2img(self, request: Request) -> Response:
        return await self._generate(request, await parse(request, Txt2Img))

    async def img2img(self, request: Request) -> Response:
        return await self._generate(request, await parse(request, Img2Img))

    async def _generate(self, request: Request, asked: Txt2Img) -> Response:
        works = await asyncio.to_thread(generation.works_of, self._studio, asked)
        job = Job(works)
        made = await generation.make_while_connected(self._studio, job, request)
        body = await asyncio.to_thread(
            generation.answer, self._studio, asked, job, made, self.options
        )
        return JSONResponse(body)

    async def progress(self, request: Request) -> Response:
        job = self._studio.current
        with_image = request.query_params.get("skip_current_image", "false").lower() not in (
            "true",
            "1",
        )
        image = None
        if (
            job
            and with_image
            and self.options.live_previews_enable
            and (preview := job.state.preview)
        ):
            picture = await asyncio.to_thread(preview)
            image = pictures.to_base64(pictures.to_png(picture))
        answer = Progress(
            progress=job.progress if job else 0,
            eta_relative=job.seconds_left if job else 0,
            state=progress_state(job),
            current_image=image,
        )
        return JSONResponse(answer.model_dump())

    async def interrupt(self, request: Request) -> Response:
        if self._studio.current:
            self._studio.current.interrupted.set()
        return JSONResponse({})

    async def skip(self, request: Request) -> Response:
        if self._studio.current:
            self._studio.current.skipped.set()
        return JSONResponse({})

    async def get_options(self, request: Request) -> Response:
        return JSONResponse(self.options.model_dump())

    async def set_options(self, request: Request) -> Response:
        given = (await parse(request, Options)).model_dump(exclude_unset=True)
        wanted = given.get("sd_model_checkpoint")
        if wanted is not None and not generation.is_model(self._studio, wanted):
            raise bad_field(
                "sd_model_checkpoint",
                f"no such model; there is {generation.title(self._studio)}",
                wanted,
            )
        if wanted is not None:
            given["sd_model_checkpoint"] = generation.title(self._studio)
        try:
            self.options = Options.model_validate({**self.options.model_dump(), **given})
        except ValidationError as error:
            raise ApiError(422, validation_detail(error)) from error
        return JSONResponse(None)

    async def models(self, request: Request) -> Response:
        engine = self._studio.engine
        model = Model(
            title=generation.title(self._studio),
            model_name=engine.name,
            hash=engine.model_hash[:10],
            sha256=engine.model_hash,
            filename=engine.filename,
        )
        return JSONResponse([model.model_dump()])

    async def samplers(self, request: Request) -> Response:
        items = [
            SamplerItem(name=s.name, aliases=list(s.aliases)) for s in self._studio.engine.samplers
        ]
        return JSONResponse([item.model_dump() for item in items])

    async def png_info(self, request: Request) -> Response:
        asked = await parse(request, PngInfoRequest)
        try:
            picture = await asyncio.to_thread(pictures.from_base64, asked.image)
        except pictures.PictureError as error:
            raise bad_field("image", str(error)) from error
        items = {k: v for k, v in picture.info.items() if isinstance(v, str)}
        text = items.get("parameters", "")
        found = PngInfo(
            info=text, items=items, parameters=pictures.parse_infotext(text) if text else {}
        )
        return JSONResponse(found.model_dump())

    async def cmd_flags(self, request: Request) -> Response:
        return JSONResponse(self._flags)


def progress_state(job: Job | None) -> ProgressState:
    """The state block; all zero when nothing is in work."""
    if job is None:
        return ProgressState(
            skipped=False, interrupted=False, job="", job_count=0,
            job_timestamp="0", job_no=0, sampling_step=0, sampling_steps=0,
        )  # fmt: skip
    state = job.state
    return ProgressState(
        skipped=job.skipped.is_set(),
        interrupted=job.interrupted.is_set(),
        job=f"Batch {state.picture + 1} out of {len(job.works)}",
        job_count=len(job.works),
        job_timestamp=generation.timestamp(job),
        job_no=state.picture,
        sampling_step=state.step,
        sampling_steps=state.steps,
    )
