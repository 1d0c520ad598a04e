"""Pictures in and out: base64, PNG with the parameters in its text, and reading them back."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from .engines.base import Work

MAX_PIXELS = 4096 * 4096
FORMATS = ("PNG", "JPEG", "WEBP")


class PictureError(ValueError):
    """What was sent is no picture we can read."""


def infotext(work: Work, *, model: str, model_hash: str) -> str:
    """The parameters in the notation that AUTOMATIC1111 writes and many tools read."""
    lines = [work.prompt]
    if work.negative_prompt:
        lines.append(f"Negative prompt: {work.negative_prompt}")
    fields = {
        "Steps": work.steps,
        "Sampler": work.sampler,
        "CFG scale": work.cfg_scale,
        "Seed": work.seed,
        "Size": f"{work.width}x{work.height}",
        "Model hash": model_hash[:10],
        "Model": model,
    }
    if work.init_image is not None:
        fields["Denoising strength"] = work.denoising_strength
    return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in fields.items())])


_FIELD = re.compile(r'\s*([\w ]+):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


def parse_infotext(text: str) -> dict[str, Any]:
    """The fields of an infotext, all as strings, with Prompt and Negative prompt among them."""
    *lines, last = text.strip().split("\n")
    if len(_FIELD.findall(last)) < 3:
        lines, last = [*lines, last], ""
    prompt, negative, into_negative = [], [], False
    for line in lines:
        if line.startswith("Negative prompt:"):
            into_negative, line = True, line.removeprefix("Negative prompt:").strip()
        (negative if into_negative else prompt).append(line)
    fields: dict[str, Any] = {"Prompt": "\n".join(prompt), "Negative prompt": "\n".join(negative)}
    for key, value in _FIELD.findall(last):
        fields[key.strip()] = value.strip('"')
    size = re.fullmatch(r"(\d+)x(\d+)", fields.get("Size", ""))
    if size:
        fields["Size-1"], fields["Size-2"] = size.groups()
    return fields


def to_png(picture: Image.Image, text: str | None = None) -> bytes:
    out, info = io.BytesIO(), PngInfo()
    if text is not None:
        info.add_itxt("parameters", text) if not is_latin1(text) else info.add_text(
            "parameters", text
        )
    picture.save(out, "PNG", pnginfo=info, compress_level=3)
    return out.getvalue()


def is_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def from_base64(text: str) -> Image.Image:
    """A picture from base64 or a data: URL; never from an address."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        data = base64.b64decode(text, validate=True)
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise PictureError(f"larger than {MAX_PIXELS} pixels")
        picture.load()
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, PictureError):
            raise
        raise PictureError(f"not a base64 picture ({' or '.join(FORMATS)})") from error
    return picture
