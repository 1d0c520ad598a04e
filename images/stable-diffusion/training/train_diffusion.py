"""Train text encoder and denoiser on the stored latents; may be stopped and resumed at any time.

A checkpoint is written every few minutes, and when time is up or SIGINT or SIGTERM comes; it holds
the running mean of the weights too, which is what `export.py` takes. `--minutes` sets the length of
the learning rate's schedule: flat, then falling over its last part.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import signal
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from captions import Captioner, tokenizer
from diffusion_model import Diffusion, alpha_sigma
from render import Recipe, load_entries
from torch import Tensor

from sdserver.tokenizer import MAX_TOKENS

HERE = Path(__file__).parent
CHECKPOINT = HERE / "runs" / "diffusion.pt"
DROP_CAPTION = 0.12
COARSE_WORDS = 0.12  # share of captions cut into short pieces, so that unknown words mean something
SHARE = {"single": 0.66, "tinted": 0.09, "pair": 0.25}
MEAN_DECAY = 0.999
FALL_FROM = 0.5
NOISE_SHIFT = 2.2  # towards high noise, where the text decides what the picture becomes


class Data:
    """Batches of latents with fresh captions."""

    def __init__(self, seed: int) -> None:
        entries = load_entries()
        self.tokenizer = tokenizer(entries)
        self._captioner = Captioner(entries)
        self.recipes = [Recipe(**r) for r in json.loads((HERE / "data/recipes.json").read_text())]
        self.latents = torch.from_numpy(np.load(HERE / "data" / "latents.npy"))
        kinds = np.array([kind(r) for r in self.recipes])
        self._rows = {name: np.flatnonzero(kinds == name) for name in SHARE}
        self._numbers, self._rng = np.random.default_rng(seed), random.Random(seed)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        kinds = self._numbers.choice(list(SHARE), size=size, p=list(SHARE.values()))
        rows = [int(self._numbers.choice(self._rows[k])) for k in kinds]
        return self.latents[rows].float(), torch.tensor([self._tokens(r) for r in rows])

    def _tokens(self, row: int) -> list[int]:
        rng = self._rng
        if rng.random() < DROP_CAPTION:
            return self.tokenizer.encode("")
        text = self._captioner.caption(self.recipes[row], rng)
        coarse = rng.random() < COARSE_WORDS
        return self.tokenizer.encode(text, (lambda: rng.randint(3, 7)) if coarse else None)


def kind(recipe: Recipe) -> str:
    return "pair" if len(recipe.objects) > 1 else "tinted" if recipe.tint else "single"


def noised(latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy latents, their times, and the v to be predicted."""
    size = len(latents)
    # Stratified over the batch.
    u = (torch.arange(size) + torch.rand(size)) / size
    t = NOISE_SHIFT * u / (1 + (NOISE_SHIFT - 1) * u)
    alpha, sigma = (a[:, None, None, None] for a in alpha_sigma(t))
    noise = torch.randn_like(latents)
    return alpha * latents + sigma * noise, t, alpha * noise - sigma * latents


def gradients(model: Diffusion, x: Tensor, t: Tensor, v: Tensor, tokens: Tensor) -> tuple[float, list[Tensor]]:
    """Loss and gradients of a part of a batch; one core's work."""
    torch.set_num_threads(1)
    tokens = tokens[:, : int((tokens != 0).sum(1).max())]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        guess = model(x, t, tokens)
    loss = (guess.float() - v).square().mean()
    return loss.item(), list(torch.autograd.grad(loss, list(model.parameters())))


def accumulate(model: Diffusion, pool: Executor, parts: int, latents: Tensor, tokens: Tensor) -> float:
    """Set the gradients of a batch, a part of it on each core, and return its loss.

    Faster than several threads within each operation, most of which are short.
    """
    x, t, v = noised(latents)
    order = [slice(k, None, parts) for k in range(parts)]
    jobs = [pool.submit(gradients, model, x[k], t[k], v[k], tokens[k]) for k in order]
    losses, found = zip(*(job.result() for job in jobs))
    total = found[0]
    for other in found[1:]:
        torch._foreach_add_(total, other)
    torch._foreach_div_(total, parts)
    for parameter, gradient in zip(model.parameters(), total):
        parameter.grad = gradient
    return sum(losses) / parts


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    state = torch.load(CHECKPOINT) if CHECKPOINT.exists() and not options.fresh else None
    step = state["step"] if state else 0
    data = Data(options.seed + step)
    model = Diffusion(data.tokenizer.size, MAX_TOKENS)
    mean = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    spent_before = 0.0
    if state:
        model.load_state_dict(state["model"])
        mean.load_state_dict(state["mean"])
        optimizer.load_state_dict(state["optimizer"])
        spent_before = state["spent"]
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: stop.append(n))

    started = saved = time.monotonic()
    average, first = None, step
    pool = ThreadPoolExecutor(options.threads)
    while not stop:
        spent = spent_before + time.monotonic() - started
        part = spent / (60 * options.minutes)
        if part >= 1:
            break
        fall = min(1.0, max(0.01, (1 - part) / (1 - FALL_FROM))) * min(1, (step + 1) / 300)
        loss = accumulate(model, pool, options.threads, *data.batch(options.batch))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * fall
        optimizer.step()
        step += 1
        blend = 1 - min(MEAN_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), blend)
        average = loss if average is None else 0.99 * average + 0.01 * loss
        if step % 100 == 0:
            pace = (time.monotonic() - started) / (step - first)
            print(f"step {step} loss {average:.4f} part {part:.3f} {pace:.3f} s/step", flush=True)
        if time.monotonic() - saved > 60 * options.save_every:
            saved = time.monotonic()
            save(model, mean, optimizer, step, spent)
    save(model, mean, optimizer, step, spent_before + time.monotonic() - started)


def save(
    model: Diffusion, mean: Diffusion, optimizer: torch.optim.Optimizer, step: int, spent: float
) -> None:
    beside = CHECKPOINT.with_suffix(".new")
    torch.save({"model": model.state_dict(), "mean": mean.state_dict(),
                "optimizer": optimizer.state_dict(), "step": step, "spent": spent}, beside)  # fmt: skip
    os.replace(beside, CHECKPOINT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-every", type=float, default=3, help="minutes")
    parser.add_argument("--fresh", action="store_true", help="forget the checkpoint")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(options)


if __name__ == "__main__":
    main()
