"""The engine for real Stable Diffusion weights, through the diffusers library.

Weights come from a diffusers directory or one .safetensors file, never from the network. On a CUDA
device it computes in half precision. diffusers and torch are imported on construction only: they
are not among the default requirements (`requirements-diffusers.txt`).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .base import EngineError, Interrupted, OnStep, SamplerInfo, Work
from .pixels import flattened

# The API's names, k-diffusion's, and the scheduler classes with their settings.
SCHEDULERS: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "DPM++ 2M": (("k_dpmpp_2m",), "DPMSolverMultistepScheduler", {}),
    "DPM++ 2M Karras": (
        ("k_dpmpp_2m_ka",),
        "DPMSolverMultistepScheduler",
        {"use_karras_sigmas": True},
    ),
    "Euler a": (("k_euler_a", "k_euler_ancestral"), "EulerAncestralDiscreteScheduler", {}),
    "Euler": (("k_euler",), "EulerDiscreteScheduler", {}),
    "Heun": (("k_heun",), "HeunDiscreteScheduler", {}),
    "DDIM": (("ddim",), "DDIMScheduler", {}),
}
# The colour of each of the four latent channels, roughly: a preview without the decoder. Fitted by
# the community to the latents of Stable Diffusion 1.x.
LATENT_COLOURS = np.array(
    [
        [0.298, 0.207, 0.208],
        [0.187, 0.286, 0.173],
        [-0.158, 0.189, 0.264],
        [-0.184, -0.271, -0.473],
    ],
    dtype=np.float32,
)
HASHED_BYTES = 1 << 20


class DiffusersEngine:
    """Loads a Stable Diffusion pipeline: on CUDA in float16 where there is a GPU."""

    def __init__(self, weights: Path) -> None:
        try:
            import diffusers
            import torch
        except ImportError as error:
            raise EngineError(
                f"--ckpt needs more libraries ({error}): pip install -r requirements-diffusers.txt"
            ) from error
        self._diffusers, self._torch = diffusers, torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.dtype = torch.float16 if self.device == "cuda" else torch.float32
        text_to_image = self._load(weights).to(self.device)
        text_to_image.set_progress_bar_config(disable=True)
        self._text_to_image = text_to_image
        # The model's own; a sampler that replaces it keeps only what it knows of it.
        self._noise_schedule = dict(text_to_image.scheduler.config)
        self._image_to_image = diffusers.StableDiffusionImg2ImgPipeline(
            **text_to_image.components, requires_safety_checker=False
        )
        self._image_to_image.set_progress_bar_config(disable=True)
        self.name = weights.stem if weights.is_file() else weights.name
        self.filename = str(weights)
        self.model_hash = hash_of(weights)
        self.samplers = tuple(SamplerInfo(name, entry[0]) for name, entry in SCHEDULERS.items())

    def _load(self, weights: Path) -> Any:
        kind = self._diffusers.StableDiffusionPipeline
        options: dict[str, Any] = {
            "dtype": self.dtype,
            "local_files_only": True,
            "safety_checker": None,
            "requires_safety_checker": False,
        }
        try:
            if weights.is_file():
                # Without a local `config` the library would ask the network for one.
                config = weights.with_suffix("")
                if config.is_dir():
                    options["config"] = str(config)
                return kind.from_single_file(str(weights), **options)
            return kind.from_pretrained(str(weights), use_safetensors=True, **options)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise EngineError(
                f"{weights} is no Stable Diffusion model that can be loaded: {error}"
            ) from error

    def generate(self, work: Work, on_step: OnStep) -> Image.Image:
        pipeline = self._text_to_image if work.init_image is None else self._image_to_image
        pipeline.scheduler = self._scheduler(work.sampler)
        fields: dict[str, Any] = {
            "prompt": work.prompt,
            "negative_prompt": work.negative_prompt,
            "num_inference_steps": work.steps,
            "guidance_scale": work.cfg_scale,
            # Drawn on the CPU, so that a seed means the same picture on any device.
            "generator": self._torch.Generator("cpu").manual_seed(work.seed % 2**63),
            "callback_on_step_end_tensor_inputs": ["latents"],
        }
        total = work.steps
        if work.init_image is None:
            fields |= {"width": work.width, "height": work.height}
        else:
            image = flattened(work.init_image).resize(
                (work.width, work.height), Image.Resampling.LANCZOS
            )
            if work.denoising_strength * work.steps < 1:
                return image
            fields |= {"image": image, "strength": work.denoising_strength}
            total = min(work.steps, int(work.steps * work.denoising_strength))
        watcher = Watcher(on_step, total)
        with self._torch.inference_mode():
            return pipeline(**fields, callback_on_step_end=watcher).images[0]

    def _scheduler(self, sampler: str) -> Any:
        _, kind, settings = SCHEDULERS[sampler]
        made = getattr(self._diffusers, kind)
        known = inspect.signature(made.__init__).parameters
        config = {k: v for k, v in self._noise_schedule.items() if k in known}
        # The model's configuration may name a sampler with Karras's noise levels.
        config |= {"use_karras_sigmas": False} if "use_karras_sigmas" in known else {}
        return made.from_config({**config, **settings})


class Watcher:
    """Counts the steps, offers previews, and stops the pipeline when `on_step` says so."""

    def __init__(self, on_step: OnStep, total: int) -> None:
        self._on_step, self._total, self._done = on_step, total, 0

    def __call__(
        self, pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        # Heun's method calls twice for each step.
        self._done = min(index + 1, self._total)
        try:
            self._on_step(self._done, self._total, preview_of(tensors["latents"]))
        except Interrupted:
            # The library's own way: the remaining steps are passed over and the latents decoded.
            pipeline._interrupt = True
        return tensors


def preview_of(latents: Any) -> Callable[[], Image.Image]:
    def preview() -> Image.Image:
        values = latents[0].detach().float().cpu().numpy().transpose(1, 2, 0)
        pixels = values @ LATENT_COLOURS * 127.5 + 127.5
        small = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        return small.resize((4 * small.width, 4 * small.height), Image.Resampling.BILINEAR)

    return preview


def hash_of(weights: Path) -> str:
    """SHA-256 over size and first megabyte of each weights file: quick, and tells models apart."""
    files = [weights] if weights.is_file() else sorted(weights.rglob("*.safetensors"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(HASHED_BYTES))
    return digest.hexdigest()
