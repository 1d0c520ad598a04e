"""Stable Diffusion pipelines with random weights, in the directory form that diffusers reads.

`SMALL` has about a million weights, for tests; `SD15` has the sizes of Stable Diffusion 1.5
(860 million in the denoiser, 84 in the autoencoder, 123 in the text encoder), for measuring.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


@dataclass(frozen=True)
class Sizes:
    """The settings of the three networks that make a size."""

    text: dict[str, Any]
    unet: dict[str, Any]
    autoencoder: dict[str, Any]
    pieces: list[str] = field(
        default_factory=lambda: [c + end for end in ("", "</w>") for c in string.ascii_lowercase]
    )


SMALL = Sizes(
    text={
        "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
    unet={
        "sample_size": 32, "block_out_channels": (32, 64), "layers_per_block": 1,
        "cross_attention_dim": 32,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    },
    autoencoder={"block_out_channels": (32, 32)},
)  # fmt: skip
SD15 = Sizes(
    text={
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "vocab_size": 49408,
    },
    unet={
        "sample_size": 64, "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2,
        "cross_attention_dim": 768, "attention_head_dim": 8,
        "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
    },
    autoencoder={
        "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512,
    },
)  # fmt: skip


def save(at: Path, sizes: Sizes, *, dtype: torch.dtype = torch.float32) -> int:
    """Write the pipeline into the directory `at`; returns its number of weights."""
    torch.manual_seed(0)
    levels = len(sizes.autoencoder["block_out_channels"])
    parts = [
        UNet2DConditionModel(in_channels=4, out_channels=4, **sizes.unet),
        AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * levels,
            up_block_types=["UpDecoderBlock2D"] * levels,
            **sizes.autoencoder,
        ),
        CLIPTextModel(
            CLIPTextConfig(
                **{"vocab_size": len(sizes.pieces) + 2, **sizes.text},
                bos_token_id=0, eos_token_id=1, pad_token_id=1,
            )
        ),
    ]  # fmt: skip
    unet, autoencoder, text = (part.to(dtype) for part in parts)
    StableDiffusionPipeline(
        unet=unet, vae=autoencoder, text_encoder=text, tokenizer=tokenizer(sizes.pieces),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(at, safe_serialization=True)  # fmt: skip
    return sum(weight.numel() for part in parts for weight in part.parameters())


def tokenizer(pieces: list[str]) -> CLIPTokenizer:
    vocabulary = {p: n for n, p in enumerate(["<|startoftext|>", "<|endoftext|>", *pieces])}
    with TemporaryDirectory() as directory:
        words, merges = Path(directory) / "vocab.json", Path(directory) / "merges.txt"
        words.write_text(json.dumps(vocabulary))
        merges.write_text("#version: 0.2\n")
        return CLIPTokenizer(str(words), str(merges), model_max_length=77)
