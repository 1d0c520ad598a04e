"""Does the model draw what it is told? Prints the share of captions hit and a contact sheet.

For 200 captions (the first names of 200 emoji drawn by a seed) a picture is sampled with the
weights that ship, through the server's own engine at its default settings. Its latents are compared
with those of every training picture (singles, tinted, pairs): the nearest, by Euclidean distance,
must show the captioned emoji, alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from render import Painter, Recipe, load_entries, recipes  # noqa: E402

from sdserver.engines.base import Work  # noqa: E402
from sdserver.engines.tiny import TinyEngine  # noqa: E402
from sdserver.schemas import DEFAULT_SAMPLER, DEFAULT_STEPS, Txt2Img  # noqa: E402

CAPTIONS = 200
SHEET = HERE.parent.parent.parent / "docs" / "stable-diffusion-contact-sheet.png"
# What no emoji is, to look at; the last rows of the sheet.
COMPOSED = [
    "a red heart", "cat face", "pizza and a rocket", "a dog and a house", "a blue cat",
    "a green horse",
    "a rose on a yellow background", "a ghost on a black background", "an owl next to a mushroom",
    "banana and guitar", "a purple car", "kitten", "spaceship", "happy birthday",
    "ice cream with cherry",
    "robot in pink",
]  # fmt: skip


def training_latents(engine: TinyEngine, seed: int) -> tuple[np.ndarray, list[Recipe]]:
    """Latents of all training pictures by the shipped encoder (kept in a file), and recipes."""
    todo = recipes(load_entries(), seed=seed)
    kept = HERE / "data" / "evaluation.npz"
    encoder = (HERE.parent / "weights" / "encoder.onnx").read_bytes()
    drawn = repr((todo, [entry["emoji"] for entry in load_entries()])).encode()
    key = hashlib.sha256(encoder + drawn + (HERE / "render.py").read_bytes()).hexdigest()
    if kept.exists() and (stored := np.load(kept))["key"] == key:
        return stored["latents"], todo
    painter = Painter(load_entries())
    made = np.stack([engine.encode(painter.draw(r))[0].astype(np.float16).ravel() for r in todo])
    kept.parent.mkdir(exist_ok=True)
    np.savez(kept, latents=made, key=key)
    return made, todo


def sampled(engine: TinyEngine, caption: str, seed: int, options: argparse.Namespace) -> np.ndarray:
    work = Work(
        prompt=caption, negative_prompt="", seed=seed, steps=options.steps, width=128, height=128,
        cfg_scale=options.guidance, sampler=options.sampler,
    )  # fmt: skip
    return engine.latents(work, lambda *_: None)


def nearest(latents: np.ndarray, known: np.ndarray, squares: np.ndarray) -> int:
    """The row of `known` at the least Euclidean distance."""
    return int(np.argmin(squares - 2 * (known @ latents.ravel())))


def contact_sheet(
    pictures: list[tuple[str, Image.Image, bool | None]], columns: int = 20
) -> Image.Image:
    """The pictures with their captions; a red line under what was missed."""
    side, line = 64, 11
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (side + 4), rows * (side + line + 4)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(7)
    for number, (caption, picture, hit) in enumerate(pictures):
        x, y = number % columns * (side + 4) + 2, number // columns * (side + line + 4) + 2
        sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (x, y))
        draw.text((x, y + side), caption[:19], fill="black", font=font)
        if hit is False:
            draw.line((x, y + side + line, x + side, y + side + line), fill="red", width=2)
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=CAPTIONS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--guidance", type=float, default=Txt2Img().cfg_scale)
    parser.add_argument("--sampler", default=DEFAULT_SAMPLER)
    parser.add_argument("--sheet", type=Path, default=SHEET)
    parser.add_argument("--least", type=float, default=0.8, help="fail below this share")
    options = parser.parse_args()
    engine = TinyEngine(HERE.parent / "weights")
    half, todo = training_latents(engine, options.seed)
    known = half.astype(np.float32)
    squares = np.square(known).sum(1)
    entries, hits, pictures = load_entries(), 0, []
    chosen = random.Random(options.seed).sample(range(len(entries)), options.captions)
    for index in chosen:
        caption = entries[index]["names"][0]
        latents = sampled(engine, caption, index, options)
        found = todo[nearest(latents, known, squares)]
        hit = found.objects == (index,)
        hits += hit
        pictures.append((caption, engine.picture(latents), hit))
    for number, caption in enumerate(COMPOSED):
        pictures.append((caption, engine.picture(sampled(engine, caption, number, options)), None))
    options.sheet.parent.mkdir(exist_ok=True)
    contact_sheet(pictures).quantize(192).save(options.sheet, optimize=True)
    share = hits / len(chosen)
    result = {"captions": len(chosen), "hits": hits, "share": share, "training_pictures": len(todo)}
    print(json.dumps(result), "sheet:", options.sheet.name)
    sys.exit(share < options.least)


if __name__ == "__main__":
    main()
