"""The requests and answers of the API, as AUTOMATIC1111's clients know them.

A field that is null counts as not given. Fields of the original that mean nothing here are taken
and left alone; what is out of range is refused with the field's name.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT_SAMPLER = "DPM++ 2M"
DEFAULT_STEPS = 20
MAX_SIDE = 2048
MAX_PICTURES = 64


class Request(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data


class Txt2Img(Request):
    prompt: str = Field("", max_length=4000)
    negative_prompt: str = Field("", max_length=4000)
    seed: int = Field(-1, ge=-1, lt=2**63, description="-1: a random one")
    steps: int = Field(DEFAULT_STEPS, ge=1, le=150)
    width: int = Field(512, ge=64, le=MAX_SIDE, multiple_of=8)
    height: int = Field(512, ge=64, le=MAX_SIDE, multiple_of=8)
    cfg_scale: float = Field(7.0, ge=1, le=30)
    sampler_name: str = Field(DEFAULT_SAMPLER, description="one of /sdapi/v1/samplers")
    sampler_index: str | None = Field(None, description="older name of sampler_name")
    batch_size: int = Field(1, ge=1, le=8)
    n_iter: int = Field(1, ge=1, le=MAX_PICTURES)
    send_images: bool = True
    override_settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _older_name(self) -> Txt2Img:
        if self.sampler_index and "sampler_name" not in self.model_fields_set:
            self.sampler_name = self.sampler_index
        return self


class Img2Img(Txt2Img):
    init_images: list[str] = Field(
        min_length=1, max_length=1, description="base64 of a PNG, JPEG or WebP, or a data: URL"
    )
    denoising_strength: float = Field(0.75, ge=0, le=1)
    include_init_images: bool = False


class PngInfoRequest(Request):
    image: str = Field(description="base64 of a PNG, or a data: URL")


class Options(Request):
    """What may be read and set while the server runs."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    sd_model_checkpoint: str = ""
    samples_format: str = Field("png", pattern="^png$")
    live_previews_enable: bool = True
    CLIP_stop_at_last_layers: int = Field(1, ge=1, le=12)
    enable_pnginfo: bool = True


class Pictures(BaseModel):
    images: list[str] = Field(description="base64 PNGs")
    parameters: dict[str, Any]
    info: str = Field(description="JSON: seeds, sizes, infotexts")


class ProgressState(BaseModel):
    skipped: bool
    interrupted: bool
    job: str
    job_count: int
    job_timestamp: str
    job_no: int
    sampling_step: int
    sampling_steps: int


class Progress(BaseModel):
    progress: float = Field(ge=0, le=1)
    eta_relative: float = Field(description="seconds still to go")
    state: ProgressState
    current_image: str | None = None
    textinfo: str | None = None


class Model(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    title: str
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None = None


class SamplerItem(BaseModel):
    name: str
    aliases: list[str]
    options: dict[str, str] = Field(default_factory=dict)


class PngInfo(BaseModel):
    info: str
    items: dict[str, str]
    parameters: dict[str, Any]
