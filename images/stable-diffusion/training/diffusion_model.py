"""The text encoder and the denoiser: a small diffusion transformer on the 16x16x8 latents.

The denoiser sees 8x8 patches of 2x2 latents; time and the pooled text steer every block through
one shared modulation (as in PixArt), the words themselves come in by cross-attention, and the text
encoder's sketch, its guess of the picture from the words alone, is added to the patches. It
predicts v = alpha * noise - sigma * x0 with alpha = cos(pi t / 2) and sigma = sin(pi t / 2)
(Salimans and Ho, "Progressive Distillation", 2022).
"""

from __future__ import annotations

import math

import torch
from autoencoder_model import LATENT_CHANNELS, LATENT_SIDE
from torch import Tensor, nn
from torch.nn import functional

PATCH = 2
WIDTH, DEPTH, HEADS = 256, 6, 4
TEXT_WIDTH, TEXT_DEPTH, TEXT_HEADS = 192, 2, 4
PATCHES = (LATENT_SIDE // PATCH) ** 2
PATCH_SIZE = LATENT_CHANNELS * PATCH * PATCH
SKETCH_WIDTH = 1536
GLANCES, GLANCE_WIDTH = 6, 128


class Attention(nn.Module):
    """Multi-head attention of `x` (n, a, width) to `context` (n, b, context width)."""

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width or width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        query = self._split(self.query(x))
        key, value = map(self._split, self.key_value(context).chunk(2, dim=-1))
        # Written out: the fused attention of the CPU is slower than this for so few tokens.
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
        if bias is not None:
            scores = scores + bias
        return self.out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def mlp(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
    )


class TextBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(TEXT_WIDTH), nn.LayerNorm(TEXT_WIDTH)
        self.attention, self.mlp = Attention(TEXT_WIDTH, TEXT_HEADS), mlp(TEXT_WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, bias)
        return x + self.mlp(self.norm2(x))


class TextEncoder(nn.Module):
    """Token ids (n, k), k at most 24, to word vectors (n, k, 192), their mean (n, 192), the bias
    that keeps attention off the padding, and a sketch of the latents (n, 8, 16, 16).

    The sketch is what makes this learn in an hour: it is trained alone first, by plain regression,
    thousands of captions a second.
    """

    def __init__(self, vocabulary: int, tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, TEXT_WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(tokens, TEXT_WIDTH))
        self.blocks = nn.ModuleList(TextBlock() for _ in range(TEXT_DEPTH))
        self.norm = nn.LayerNorm(TEXT_WIDTH)
        # Weighted means of the words, so that first thing, second thing and colour stay apart.
        self.glance = nn.Linear(TEXT_WIDTH, GLANCES)
        self.glance_value = nn.Linear(TEXT_WIDTH, GLANCES * GLANCE_WIDTH)
        self.sketch = nn.Sequential(
            nn.Linear(TEXT_WIDTH + GLANCES * GLANCE_WIDTH, SKETCH_WIDTH),
            nn.GELU(approximate="tanh"),
            nn.Linear(SKETCH_WIDTH, LATENT_CHANNELS * LATENT_SIDE**2),
        )
        nn.init.normal_(self.embedding.weight, std=0.5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        present = (tokens != 0).to(self.position.dtype)
        bias = (present - 1)[:, None, None, :] * 1e4
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, bias)
        x = self.norm(x)
        pooled = (x * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        weights = (self.glance(x).transpose(1, 2) + bias[:, 0]).softmax(-1)
        values = self.glance_value(x).unflatten(2, (GLANCES, GLANCE_WIDTH)).transpose(1, 2)
        seen = (weights.unsqueeze(2) @ values).flatten(1)
        sketch = self.sketch(torch.cat([pooled, seen], dim=1))
        sketch = sketch.unflatten(1, (LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE))
        return x, pooled, bias, sketch


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention(WIDTH, HEADS)
        self.cross = Attention(WIDTH, HEADS, TEXT_WIDTH)
        self.mlp = mlp(WIDTH)
        self.norm_cross = nn.LayerNorm(WIDTH)
        self.table = nn.Parameter(0.02 * torch.randn(6, WIDTH))
        nn.init.zeros_(self.cross.out.weight)
        nn.init.zeros_(self.cross.out.bias)

    def forward(self, x: Tensor, modulation: Tensor, text: Tensor, bias: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            (modulation + self.table).unsqueeze(2).unbind(1)
        )
        normed = functional.layer_norm(x, (WIDTH,)) * (1 + scale1) + shift1
        x = x + gate1 * self.attention(normed, normed)
        x = x + self.cross(self.norm_cross(x), text, bias)
        normed = functional.layer_norm(x, (WIDTH,)) * (1 + scale2) + shift2
        return x + gate2 * self.mlp(normed)


class Denoiser(nn.Module):
    """Noisy latents (n, 8, 16, 16) at time t (n) in [0, 1], text, to v of the latents' shape."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(PATCH_SIZE, WIDTH)
        self.hint = nn.Linear(PATCH_SIZE, WIDTH, bias=False)
        self.position = nn.Parameter(0.1 * torch.randn(PATCHES, WIDTH))
        self.time = nn.Sequential(nn.Linear(128, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.pooled = nn.Linear(TEXT_WIDTH, WIDTH)
        self.modulation = nn.Linear(WIDTH, 6 * WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.final_modulation = nn.Linear(WIDTH, 2 * WIDTH)
        self.leave = nn.Linear(WIDTH, PATCH_SIZE)
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(1000), 64)))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, x: Tensor, t: Tensor, text: Tensor, pooled: Tensor, bias: Tensor, sketch: Tensor
    ) -> Tensor:
        angles = t[:, None] * self.frequencies.float()
        steer = self.time(torch.cat([angles.sin(), angles.cos()], dim=1).to(x.dtype)) + self.pooled(
            pooled
        )
        steer = functional.silu(steer)
        modulation = self.modulation(steer).unflatten(1, (6, WIDTH))
        h = self.enter(self._cut(x)) + self.hint(self._cut(sketch)) + self.position
        for block in self.blocks:
            h = block(h, modulation, text, bias)
        shift, scale = self.final_modulation(steer).unsqueeze(1).chunk(2, dim=2)
        return self._join(self.leave(functional.layer_norm(h, (WIDTH,)) * (1 + scale) + shift))

    def _cut(self, x: Tensor) -> Tensor:
        return functional.pixel_unshuffle(x, PATCH).flatten(2).transpose(1, 2)

    def _join(self, h: Tensor) -> Tensor:
        side = LATENT_SIDE // PATCH
        return functional.pixel_shuffle(h.transpose(1, 2).unflatten(2, (side, side)), PATCH)


class Diffusion(nn.Module):
    """Both parts, trained together."""

    def __init__(self, vocabulary: int, tokens: int) -> None:
        super().__init__()
        self.text = TextEncoder(vocabulary, tokens)
        self.denoiser = Denoiser()

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """v and the sketch."""
        text = self.text(tokens)
        return self.denoiser(x, t, *text), text[-1]


def alpha_sigma(t: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)
