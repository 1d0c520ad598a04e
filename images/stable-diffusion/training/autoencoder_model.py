"""The autoencoder: a 128x128 RGB picture to 16x16x8 latents and back, small enough for one core.

No normalization layers: the residual branches start at zero instead, which trains as well at this
size and costs less. Nearly all the work happens at a quarter of the picture's resolution or below.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT_CHANNELS = 8
LATENT_SIDE = 16
WIDE, DEEP = 64, 128


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(x))))


class Encoder(nn.Module):
    """RGB in [-1, 1], (n, 3, 8h, 8w), to latents, (n, 8, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, WIDE, 3, padding=1),
            Residual(WIDE),
            nn.Conv2d(WIDE, DEEP, 3, stride=2, padding=1),
            Residual(DEEP),
            nn.SiLU(),
            nn.Conv2d(DEEP, LATENT_CHANNELS, 1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        return self.body(picture)


class Decoder(nn.Module):
    """Latents, (n, 8, h, w), to RGB in about [-1, 1], (n, 3, 8h, 8w)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, DEEP, 3, padding=1),
            Residual(DEEP),
            Residual(DEEP),
            nn.Conv2d(DEEP, 4 * WIDE, 1),
            nn.PixelShuffle(2),
            Residual(WIDE),
            Residual(WIDE),
            Residual(WIDE),
            nn.SiLU(),
            nn.Conv2d(WIDE, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )

    def forward(self, latents: Tensor) -> Tensor:
        return self.body(latents)


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        # Per channel, measured over the pictures after training: latents leave with mean 0, std 1.
        self.register_buffer("mean", torch.zeros(LATENT_CHANNELS))
        self.register_buffer("std", torch.ones(LATENT_CHANNELS))

    def encode(self, picture: Tensor) -> Tensor:
        return (self.encoder(picture) - self.mean[:, None, None]) / self.std[:, None, None]

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents * self.std[:, None, None] + self.mean[:, None, None])
