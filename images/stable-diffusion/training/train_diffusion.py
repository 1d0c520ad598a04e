"""Train text encoder and denoiser on the stored latents; may be stopped and resumed at any time.

First the text encoder alone learns to sketch pictures from captions, which costs next to nothing a
step; then both together learn to remove noise.

The learning rate is flat for a number of steps and then falls for a number of steps. The running
mean of the weights is what `export.py` takes.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import random
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from captions import Captioner, tokenizer
from cores import Cores
from diffusion_model import Diffusion, alpha_sigma
from render import Recipe, load_entries
from stages import Draws, Stage
from torch import Tensor

from sdserver.tokenizer import MAX_TOKENS

HERE = Path(__file__).parent
DROP_CAPTION = 0.12
COARSE_WORDS = 0.12  # share of captions cut into short pieces, so that unknown words mean something
SHARE = {"single": 0.4, "tinted": 0.12, "pair": 0.48}
MEAN_DECAY = 0.999
SKETCH_SHARE = 0.3
SKETCH_RATE = 2e-3
NOISE_SHIFT = 2.2  # towards high noise, where the text decides what the picture becomes


class Data:
    """Batches of latents with fresh captions."""

    def __init__(self) -> None:
        entries = load_entries()
        self.tokenizer = tokenizer(entries)
        self._captioner = Captioner(entries)
        self.recipes = [Recipe(**r) for r in json.loads((HERE / "data/recipes.json").read_text())]
        self.latents = torch.from_numpy(np.load(HERE / "data" / "latents.npy"))
        kinds = np.array([kind(r) for r in self.recipes])
        self._rows = {name: np.flatnonzero(kinds == name) for name in SHARE}
        self._pairs_on: dict[str, list[int]] = {}
        for row in self._rows["pair"]:
            self._pairs_on.setdefault(self.recipes[row].background, []).append(int(row))

    def batch(self, size: int, draws: Draws) -> tuple[Tensor, Tensor]:
        kinds = draws.numbers.choice(list(SHARE), size=size, p=list(SHARE.values()))
        drawn = [self._draw(k, draws) for k in kinds]
        tokens = torch.tensor([self._tokens(recipe, draws.words) for recipe, _ in drawn])
        return torch.stack([latents for _, latents in drawn]).float(), tokens

    def _draw(self, wanted: str, draws: Draws) -> tuple[Recipe, Tensor]:
        row = int(draws.numbers.choice(self._rows[wanted]))
        recipe, latents = self.recipes[row], self.latents[row]
        if wanted != "pair":
            return recipe, latents
        # The right half of another pair on the same ground makes a pair never seen before.
        other = draws.words.choice(self._pairs_on[recipe.background])
        objects = (recipe.objects[0], self.recipes[other].objects[1])
        half = latents.shape[2] // 2
        mixed = torch.cat([latents[..., :half], self.latents[other][..., half:]], dim=2)
        return dataclasses.replace(recipe, objects=objects), mixed

    def _tokens(self, recipe: Recipe, rng: random.Random) -> list[int]:
        if rng.random() < DROP_CAPTION:
            return self.tokenizer.encode("")
        text = self._captioner.caption(recipe, rng)
        coarse = rng.random() < COARSE_WORDS
        return self.tokenizer.encode(text, (lambda: rng.randint(3, 7)) if coarse else None)


def kind(recipe: Recipe) -> str:
    return "pair" if len(recipe.objects) > 1 else "tinted" if recipe.tint else "single"


def noised(latents: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy latents, their times, and the v to be predicted."""
    size = len(latents)
    # Stratified over the batch.
    u = (torch.arange(size) + torch.rand(size, generator=draw)) / size
    t = NOISE_SHIFT * u / (1 + (NOISE_SHIFT - 1) * u)
    alpha, sigma = (a[:, None, None, None] for a in alpha_sigma(t))
    noise = torch.randn(latents.shape, generator=draw)
    return alpha * latents + sigma * noise, t, alpha * noise - sigma * latents


def sketch_loss(model: Diffusion, latents: Tensor, tokens: Tensor) -> Tensor:
    """Of the text encoder alone."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sketch = model.text(shortened(tokens))[-1]
    return (sketch.float() - latents).square().mean()


def diffusion_loss(
    model: Diffusion, latents: Tensor, x: Tensor, t: Tensor, v: Tensor, tokens: Tensor
) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        guess, sketch = model(x, t, shortened(tokens))
    return (guess.float() - v).square().mean() + SKETCH_SHARE * (
        sketch.float() - latents
    ).square().mean()


def shortened(tokens: Tensor) -> Tensor:
    """Without the columns that are padding for all."""
    return tokens[:, : int((tokens != 0).sum(1).max())]


def learn_to_sketch(model: Diffusion, data: Data, cores: Cores, options: Namespace) -> None:
    parameters = list(model.text.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=SKETCH_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    parts = {"text": model.text, "optimizer": optimizer}
    stage = Stage("sketch", parts, seed=options.seed, steps=options.sketch_steps)
    for draws in stage:
        part = stage.step / stage.steps
        for group in optimizer.param_groups:
            warm, fall = min(1, (stage.step + 1) / 200), min(1, max(0.02, 1.4 - 1.4 * part))
            group["lr"] = SKETCH_RATE * warm * fall
        loss = cores.gradients(
            lambda x, k: sketch_loss(model, x, k),
            parameters,
            *data.batch(options.sketch_batch, draws),
        )
        optimizer.step()
        stage.report(loss)


def learn_to_denoise(model: Diffusion, data: Data, cores: Cores, options: Namespace) -> None:
    parameters = list(model.parameters())
    mean = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    parts = {"model": model, "mean": mean, "optimizer": optimizer}
    steps = options.flat_steps + options.fall_steps
    stage = Stage("diffusion", parts, seed=options.seed, steps=steps)
    for draws in stage:
        warm = min(1.0, (stage.step + 1) / 300)
        fall = min(1.0, max(0.01, (steps - stage.step) / options.fall_steps))
        for group in optimizer.param_groups:
            group["lr"] = options.rate * warm * fall
        latents, tokens = data.batch(options.batch, draws)
        loss = cores.gradients(
            lambda *part: diffusion_loss(model, *part),
            parameters,
            latents,
            *noised(latents, draws.noise),
            tokens,
        )
        optimizer.step()
        blend = 1 - min(MEAN_DECAY, (2 + stage.step) / (11 + stage.step))
        torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), blend)
        stage.report(loss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sketch-steps", type=int, default=2500)
    parser.add_argument("--flat-steps", type=int, default=2500)
    parser.add_argument("--fall-steps", type=int, default=2500)
    parser.add_argument("--sketch-batch", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    data, cores = Data(), Cores(options.threads)
    model = Diffusion(data.tokenizer.size, MAX_TOKENS)
    learn_to_sketch(model, data, cores, options)
    learn_to_denoise(model, data, cores, options)


if __name__ == "__main__":
    main()
