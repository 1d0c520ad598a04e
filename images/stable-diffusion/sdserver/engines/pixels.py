"""What both engines do with pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image


def flattened(picture: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white."""
    if "A" not in picture.mode and "transparency" not in picture.info:
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Scaled to the size asked for, centred on the border's colour if that is not square."""
    side = min(width, height)
    scaled = picture.resize((side, side), Image.Resampling.LANCZOS)
    if width == height:
        return scaled
    pixels = np.asarray(picture)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = Image.new("RGB", (width, height), tuple(int(v) for v in np.median(border, axis=0)))
    ground.paste(scaled, ((width - side) // 2, (height - side) // 2))
    return ground
