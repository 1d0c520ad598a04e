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
FALL_FROM = 0.55
MUON_FACTOR = 2.0


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


def loss_of(model: torch.nn.Module, latents: Tensor, tokens: Tensor) -> Tensor:
    size = len(latents)
    # Stratified over the batch, a little more often where the picture is mostly noise.
    u = (torch.arange(size) + torch.rand(size)) / size
    t = 1.5 * u / (1 + 0.5 * u)
    alpha, sigma = (a[:, None, None, None] for a in alpha_sigma(t))
    noise = torch.randn_like(latents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        v = model(alpha * latents + sigma * noise, t, tokens)
    return (v.float() - (alpha * noise - sigma * latents)).square().mean()


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    state = torch.load(CHECKPOINT) if CHECKPOINT.exists() and not options.fresh else None
    step = state["step"] if state else 0
    data = Data(options.seed + step)
    model = Diffusion(data.tokenizer.size, MAX_TOKENS)
    mean = copy.deepcopy(model).requires_grad_(False)
    optimizers = optimizers_of(model, options.rate)
    spent_before = 0.0
    if state:
        model.load_state_dict(state["model"])
        mean.load_state_dict(state["mean"])
        for optimizer, kept in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(kept)
        spent_before = state["spent"]
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: stop.append(n))

    started = saved = time.monotonic()
    average, first = None, step
    while not stop:
        spent = spent_before + time.monotonic() - started
        part = spent / (60 * options.minutes)
        if part >= 1:
            break
        fall = min(1.0, max(0.01, (1 - part) / (1 - FALL_FROM))) * min(1, (step + 1) / 300)
        loss = loss_of(model, *data.batch(options.batch))
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * fall
            optimizer.step()
        step += 1
        blend = 1 - min(MEAN_DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), blend)
        average = loss.item() if average is None else 0.99 * average + 0.01 * loss.item()
        if step % 100 == 0:
            pace = (time.monotonic() - started) / (step - first)
            print(f"step {step} loss {average:.4f} part {part:.3f} {pace:.3f} s/step", flush=True)
        if time.monotonic() - saved > 60 * options.save_every:
            saved = time.monotonic()
            save(model, mean, optimizers, step, spent)
    save(model, mean, optimizers, step, spent_before + time.monotonic() - started)


def optimizers_of(model: Diffusion, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks (it learns this model in fewer steps), AdamW for
    the rest. Each group keeps its full `rate`; the schedule sets `lr` from it."""
    inside = {
        name: p for name, p in model.named_parameters() if ".blocks." in name and name.endswith("weight") and p.ndim == 2
    }
    others = [p for name, p in model.named_parameters() if name not in inside]
    return [
        torch.optim.Muon(
            [{"params": list(inside.values()), "rate": MUON_FACTOR * rate}],
            lr=rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            [{"params": others, "rate": rate}], lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        ),
    ]  # fmt: skip


def save(
    model: Diffusion, mean: Diffusion, optimizers: list[torch.optim.Optimizer], step: int, spent: float
) -> None:
    beside = CHECKPOINT.with_suffix(".new")
    torch.save({"model": model.state_dict(), "mean": mean.state_dict(),
                "optimizers": [o.state_dict() for o in optimizers], "step": step, "spent": spent}, beside)  # fmt: skip
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
    torch.set_num_threads(options.threads)
    train(options)


if __name__ == "__main__":
    main()
