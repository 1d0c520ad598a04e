"""Render the training pictures: emoji of the Noto font on soft backgrounds, one or two a picture.

Everything is drawn from one seed, so the same seed and font give the same bytes. A `Recipe` says
what a picture shows; captions are made from it anew each time it is trained on (`captions.py`).
"""

from __future__ import annotations

import colorsys
import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
FONT_SIZE = 109  # the only bitmap size the font holds
SIDE = 128
SCALE = 0.9  # of a glyph's longer side to its share of the picture
BACKGROUNDS = {
    "white": (255, 255, 255),
    "blue": (190, 215, 245),
    "green": (200, 232, 200),
    "yellow": (250, 240, 190),
    "pink": (250, 212, 224),
    "purple": (222, 208, 242),
    "gray": (220, 220, 224),
    "black": (40, 40, 48),
}
# Hue of each tint in turns; captions say "a blue cat".
TINTS = {"red": 0.0, "orange": 0.08, "yellow": 0.15, "green": 0.33, "blue": 0.6, "purple": 0.77,
         "pink": 0.91}  # fmt: skip
TINTED_GROUPS = ("animal", "cat-face", "food", "transport", "face", "clothing", "household",
                 "music", "monkey", "drink", "building")  # fmt: skip
SINGLES, TINTED, PAIRS = 8, 2, 8000


@dataclass(frozen=True)
class Recipe:
    """What one picture shows: indices into captions.json, left to right, and how it is drawn."""

    objects: tuple[int, ...]
    background: str
    tint: str | None
    flip: bool


def load_entries() -> list[dict]:
    return json.loads((HERE / "captions.json").read_text())


def may_tint(entry: dict) -> bool:
    words = " ".join(entry["names"]).split()
    coloured = any(w in words for w in (*TINTS, "black", "white", "brown"))
    return entry["group"].startswith(TINTED_GROUPS) and not coloured


def recipes(entries: list[dict], *, seed: int, pairs: int = PAIRS) -> list[Recipe]:
    """The picture list; the first `len(entries)` are the plain ones (white, upright, centred)."""
    rng = random.Random(seed)
    made = [Recipe((i,), "white", None, flip=False) for i in range(len(entries))]
    for i in range(len(entries)):
        made += [vary(rng, (i,), None) for _ in range(SINGLES - 1)]
    for i, entry in enumerate(entries):
        if may_tint(entry):
            made += [vary(rng, (i,), tint) for tint in rng.sample(list(TINTS), TINTED)]
    # The pairs go round the entries in shuffled order, so that each is met equally often.
    order: list[int] = []
    while len(order) < 2 * pairs:
        order += rng.sample(range(len(entries)), len(entries))
    made += [vary(rng, tuple(order[2 * k : 2 * k + 2]), None) for k in range(pairs)]
    return made


def vary(rng: random.Random, objects: tuple[int, ...], tint: str | None) -> Recipe:
    background = "white" if rng.random() < 0.3 else rng.choice(list(BACKGROUNDS))
    return Recipe(objects, background, tint, flip=len(objects) == 1 and rng.random() < 0.25)


class Painter:
    """Draws recipes; keeps each glyph after its first use."""

    def __init__(self, entries: list[dict], font: Path = FONT) -> None:
        self._entries = entries
        self._font = ImageFont.truetype(str(font), FONT_SIZE)
        self._glyphs: dict[int, Image.Image] = {}

    def glyph(self, index: int) -> Image.Image:
        if index not in self._glyphs:
            text = self._entries[index]["emoji"].replace("\ufe0f", "")
            canvas = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
            draw = ImageDraw.Draw(canvas)
            draw.text((20, 20), text, font=self._font, embedded_color=True)
            box = canvas.getbbox()
            if box is None:
                raise SystemExit(f"the font has no picture of {text!r} ({self._entries[index]})")
            self._glyphs[index] = canvas.crop(box)
        return self._glyphs[index]

    def draw(self, recipe: Recipe) -> Image.Image:
        """The picture of a recipe: RGB, SIDE x SIDE."""
        picture = Image.new("RGB", (SIDE, SIDE), BACKGROUNDS[recipe.background])
        width = SIDE / len(recipe.objects)
        for place, index in enumerate(recipe.objects):
            glyph = self._prepare(index, recipe, box=width * SCALE)
            x = width * (place + 0.5) - glyph.width / 2
            y = SIDE / 2 - glyph.height / 2
            picture.paste(glyph, (round(x), round(y)), glyph)
        return picture

    def _prepare(self, index: int, recipe: Recipe, *, box: float) -> Image.Image:
        glyph = self.glyph(index)
        if recipe.tint:
            glyph = tinted(glyph, TINTS[recipe.tint])
        if recipe.flip:
            glyph = glyph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # Through premultiplied alpha, or the transparent black around the glyph bleeds in.
        ratio = box / max(glyph.size)
        size = (max(1, round(glyph.width * ratio)), max(1, round(glyph.height * ratio)))
        return glyph.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def tinted(glyph: Image.Image, hue: float) -> Image.Image:
    """The glyph in shades of one hue, its lightness kept."""
    light = np.asarray(glyph.convert("L"), dtype=np.float32) / 255
    ramp = np.array([colorsys.hls_to_rgb(hue, 0.12 + 0.8 * v / 255, 0.85) for v in range(256)])
    rgb = (ramp[(light * 255).astype(np.uint8)] * 255).astype(np.uint8)
    return Image.fromarray(np.dstack([rgb, np.asarray(glyph)[..., 3]]), "RGBA")


def main(seed: int = 1) -> None:
    entries = load_entries()
    painter, todo = Painter(entries), recipes(entries, seed=seed)
    data = HERE / "data"
    data.mkdir(exist_ok=True)
    pictures = np.lib.format.open_memmap(
        data / "pictures.npy", "w+", np.uint8, (len(todo), SIDE, SIDE, 3)
    )
    for row, recipe in enumerate(todo):
        pictures[row] = np.asarray(painter.draw(recipe))
    pictures.flush()
    (data / "recipes.json").write_text(json.dumps([asdict(r) for r in todo]))
    print(f"{len(todo)} pictures of {len(entries)} emoji")


if __name__ == "__main__":
    main()
