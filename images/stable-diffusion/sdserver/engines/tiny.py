"""The engine without weights of others: our own small latent diffusion model, run by onnxruntime.

It makes 128x128 pictures; other sizes are scaled from that, on a ground of the picture's own border
colour where the shape is not square.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from ..samplers import SAMPLERS, Array, angle_at, sigmas_of
from ..tokenizer import Tokenizer
from .base import EngineError, Interrupted, OnStep, SamplerInfo, Work
from .pixels import fitted, flattened

# Guidance makes the guess's contrast too high; this share of the excess is taken back (Lin et al.,
# "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2023, section 3.4).
GUIDANCE_RESCALE = 0.7
# The scales people use, about 7, are for models that follow the words loosely. This one follows
# them closely, so that this share of the scale's excess over 1 does the same.
GUIDANCE_SHARE = 0.4


class TinyEngine:
    """Loads the weights on construction (the picture encoder at its first use)."""

    name = "tiny-emoji"

    def __init__(self, weights: Path) -> None:
        missing = [
            name
            for name in ("text.onnx", "denoiser.onnx", "decoder.onnx", "encoder.onnx")
            if not (weights / name).is_file()
        ]
        if missing:
            raise EngineError(f"{weights} lacks {', '.join(missing)}: run `make train-tiny`")
        about = json.loads((weights / "model.json").read_text())
        self._weights = weights
        self._shape: tuple[int, int, int] = tuple(about["latent_shape"])
        self._side: int = about["picture_side"]
        self._tokenizer = Tokenizer.load(weights / "tokenizer.json")
        self._text = open_session(weights / "text.onnx")
        self._text_outputs = [output.name for output in self._text.get_outputs()]
        self._denoiser = open_session(weights / "denoiser.onnx")
        self._decoder = open_session(weights / "decoder.onnx")
        self.filename = str(weights / "denoiser.onnx")
        self.model_hash = hashlib.sha256((weights / "denoiser.onnx").read_bytes()).hexdigest()
        self.samplers = tuple(SamplerInfo(s.name, s.aliases) for s in SAMPLERS)

    @cached_property
    def _encoder(self) -> onnxruntime.InferenceSession:
        return open_session(self._weights / "encoder.onnx")

    def generate(self, work: Work, on_step: OnStep) -> Image.Image:
        latents = self.latents(work, on_step)
        return fitted(self.picture(latents), work.width, work.height)

    def latents(self, work: Work, on_step: OnStep) -> Array:
        """The sampled latents, (1, 8, 16, 16), before decoding."""
        sampler = next(s for s in SAMPLERS if s.name == work.sampler)
        rng = np.random.Generator(np.random.PCG64(work.seed))
        sigmas = sigmas_of(work.steps, karras=sampler.karras)
        start: Array = np.zeros((1, *self._shape), dtype=np.float32)
        if work.init_image is not None:
            start = self.encode(work.init_image)
            kept = min(work.steps, max(1, int(work.denoising_strength * work.steps)))
            sigmas = sigmas[work.steps - kept :]
        noise = rng.standard_normal(start.shape, dtype=np.float32)
        if work.denoising_strength == 0 and work.init_image is not None:
            return start
        newest = [start]

        def step(number: int, guess: Array) -> None:
            newest[0] = guess
            on_step(number + 1, len(sigmas) - 1, lambda: self.picture(guess))

        guided = self._guided(work)
        try:
            return sampler.run(guided, start + noise * np.float32(sigmas[0]), sigmas, rng, step)
        except Interrupted:
            return newest[0]

    def _guided(self, work: Work) -> Callable[[Array, float], Array]:
        """`denoise` for the prompt, away from the negative prompt by the guidance scale."""
        alone = work.cfg_scale == 1
        scale = 1 + GUIDANCE_SHARE * (work.cfg_scale - 1)
        prompts = [work.prompt] if alone else [work.prompt, work.negative_prompt]
        text = self._encode_text(prompts)

        def denoise(x: Array, sigma: float) -> Array:
            alpha = np.float32(1 / np.sqrt(1 + sigma**2))
            x_v = np.repeat(x * alpha, len(prompts), axis=0)
            t = np.full(len(prompts), angle_at(sigma), dtype=np.float32)
            v = self._denoiser.run(None, {"x": x_v, "t": t, **text})[0]
            guess = alpha * x_v - np.float32(sigma) * alpha * v
            return guess if alone else guided(guess[:1], guess[1:], scale)

        return denoise

    def _encode_text(self, prompts: list[str]) -> dict[str, Any]:
        tokens = np.array([self._tokenizer.encode(p) for p in prompts], dtype=np.int64)
        return dict(zip(self._text_outputs, self._text.run(None, {"tokens": tokens}), strict=True))

    def picture(self, latents: Array) -> Image.Image:
        """The picture of latents, 128x128."""
        pixels = self._decoder.run(None, {"latents": latents})[0][0].transpose(1, 2, 0)
        return Image.fromarray(((pixels + 1) * 127.5 + 0.5).clip(0, 255).astype(np.uint8))

    def encode(self, picture: Image.Image) -> Array:
        """Latents of a picture of any size."""
        small = flattened(picture).resize((self._side, self._side), Image.Resampling.LANCZOS)
        pixels = np.asarray(small, dtype=np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
        return self._encoder.run(None, {"picture": pixels})[0]


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """A session on one core, so that a pod uses no more than its share."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def guided(wanted: Array, unwanted: Array, scale: float) -> Array:
    """Classifier-free guidance, its contrast brought back towards that of `wanted`."""
    pushed = unwanted + np.float32(scale) * (wanted - unwanted)
    ratio = float(wanted.std()) / max(float(pushed.std()), 1e-6)
    return pushed * np.float32(GUIDANCE_RESCALE * ratio + 1 - GUIDANCE_RESCALE)
