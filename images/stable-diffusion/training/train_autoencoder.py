"""Train the autoencoder on the rendered pictures, then write the latents of all of them.

Noise on the latents during training makes the decoder bear the diffusion model's errors.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from autoencoder_model import LATENT_CHANNELS, LATENT_SIDE, Autoencoder
from cores import Cores
from render import SIDE
from stages import RUNS, Draws, Stage
from torch import Tensor
from torch.nn import functional

HERE = Path(__file__).parent
MEASURED = RUNS / "autoencoder-measured.pt"
WARM_STEPS = 100
LATENT_NOISE = 0.08
LATENT_DECAY = 1e-3


def crops(pictures: np.ndarray, rng: np.random.Generator, batch: int, side: int) -> Tensor:
    """A batch of random crops, in [-1, 1], channels last in memory."""
    limit = pictures.shape[1] - side
    taken = np.empty((batch, side, side, 3), dtype=np.uint8)
    for row, index in enumerate(rng.integers(len(pictures), size=batch)):
        # Multiples of 4, as the borders of the patches lie in whole pictures.
        y, x = 4 * rng.integers(limit // 4 + 1, size=2)
        taken[row] = pictures[index, y : y + side, x : x + side]
    return tensor_of(taken)


def edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Absolute error of the pixels and of their differences: the latter keeps outlines sharp."""
    pixel = functional.l1_loss(made, wanted)
    gradient = sum(functional.l1_loss(a, b) for a, b in zip(edges(made), edges(wanted)))
    return pixel + functional.mse_loss(made, wanted) + 0.5 * gradient


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    pictures = np.load(HERE / "data" / "pictures.npy", mmap_mode="r")
    model, cores = Autoencoder().to(memory_format=torch.channels_last), Cores(options.threads)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.99), weight_decay=0.01)
    parts = {"model": model, "optimizer": optimizer}
    stage = Stage("autoencoder", parts, seed=options.seed, steps=options.steps)
    for draws in stage:
        for group in optimizer.param_groups:
            warm = min(1, (stage.step + 1) / WARM_STEPS)
            part = stage.step / stage.steps
            group["lr"] = options.rate * warm * (0.5 + 0.5 * math.cos(math.pi * part))
        batch = crops(pictures, draws.numbers, options.batch, options.crop)
        noise = noise_for(batch, draws.noise)
        loss = cores.gradients(lambda *part: loss_of(model, *part), parameters, batch, noise)
        optimizer.step()
        stage.report(loss)
    measure(model, pictures, Draws(options.seed, "autoencoder", stage.steps).numbers)
    torch.save({"model": model.state_dict(), "steps": stage.steps}, MEASURED)
    encode_all(model, pictures)


def noise_for(pictures: Tensor, draw: torch.Generator) -> Tensor:
    """Noise on the latents of pictures."""
    side = pictures.shape[-1] // (SIDE // LATENT_SIDE)
    size = (len(pictures), LATENT_CHANNELS, side, side)
    return LATENT_NOISE * torch.randn(size, generator=draw)


def loss_of(model: Autoencoder, picture: Tensor, noise: Tensor) -> Tensor:
    picture = picture.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latents = model.encode(picture)
        made = model.decode(latents + noise.to(latents.dtype))
    size = latents.float().square().mean()
    return reconstruction_loss(made.float(), picture) + LATENT_DECAY * size


@torch.no_grad()
def measure(model: Autoencoder, pictures: np.ndarray, rng: np.random.Generator) -> None:
    """Set mean and std so that `encode` gives normalized latents from now on."""
    latents = model.encoder(crops(pictures, rng, 512, pictures.shape[1]))
    model.mean.copy_(latents.mean((0, 2, 3)))
    model.std.copy_(latents.std((0, 2, 3)))


@torch.no_grad()
def encode_all(model: Autoencoder, pictures: np.ndarray) -> None:
    """Report the error on whole pictures and write the latents of all, float16."""
    sample = tensor_of(pictures[:: len(pictures) // 200])
    error = (model.decode(model.encode(sample)).clamp(-1, 1) - sample).square().mean().item()
    print(f"PSNR {10 * math.log10(4 / error):.2f} dB on {len(sample)} pictures")
    parts = [
        model.encode(tensor_of(pictures[start : start + 256])).half().numpy()
        for start in range(0, len(pictures), 256)
    ]
    np.save(HERE / "data" / "latents.npy", np.concatenate(parts))


def tensor_of(pictures: np.ndarray) -> Tensor:
    """Bytes, (n, h, w, 3), to numbers from -1 to 1, (n, 3, h, w)."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2) / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(options)


if __name__ == "__main__":
    main()
