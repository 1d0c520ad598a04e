"""Weights of a diffusers pipeline under the names of the original's single files.

For pipelines of two levels with one layer each; the reverse of what diffusers does when it reads.
"""

from __future__ import annotations

import re
from typing import Any

UNET = [
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
    (r"^down_blocks\.0\.resnets\.0\.", "input_blocks.1.0."),
    (r"^down_blocks\.0\.downsamplers\.0\.conv\.", "input_blocks.2.0.op."),
    (r"^down_blocks\.1\.resnets\.0\.", "input_blocks.3.0."),
    (r"^down_blocks\.1\.attentions\.0\.", "input_blocks.3.1."),
    (r"^mid_block\.resnets\.0\.", "middle_block.0."),
    (r"^mid_block\.attentions\.0\.", "middle_block.1."),
    (r"^mid_block\.resnets\.1\.", "middle_block.2."),
    (r"^up_blocks\.0\.resnets\.(\d)\.", r"output_blocks.\1.0."),
    (r"^up_blocks\.0\.attentions\.(\d)\.", r"output_blocks.\1.1."),
    (r"^up_blocks\.0\.upsamplers\.0\.", "output_blocks.1.2."),
    (r"^up_blocks\.1\.resnets\.0\.", "output_blocks.2.0."),
    (r"^up_blocks\.1\.resnets\.1\.", "output_blocks.3.0."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"(blocks?[.\d]*)\.norm1\.(\w+)$", r"\1.in_layers.0.\2"),
    (r"(blocks?[.\d]*)\.conv1\.", r"\1.in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"(blocks?[.\d]*)\.norm2\.(\w+)$", r"\1.out_layers.0.\2"),
    (r"(blocks?[.\d]*)\.conv2\.", r"\1.out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
]
VAE = [
    (r"down_blocks\.(\d)\.resnets\.(\d)\.", r"down.\1.block.\2."),
    (r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"up_blocks\.0\.resnets\.(\d)\.", r"up.1.block.\1."),
    (r"up_blocks\.1\.resnets\.(\d)\.", r"up.0.block.\1."),
    (r"up_blocks\.0\.upsamplers\.0\.", "up.1.upsample."),
    (r"mid_block\.resnets\.0\.", "mid.block_1."),
    (r"mid_block\.resnets\.1\.", "mid.block_2."),
    (r"mid_block\.attentions\.0\.", "mid.attn_1."),
    (r"\.group_norm\.", ".norm."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.to_out\.0\.", ".proj_out."),
    (r"\.conv_norm_out\.", ".norm_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
]


def original(unet: dict[str, Any], vae: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    """One dictionary of all three parts."""
    found = {f"model.diffusion_model.{renamed(k, unet_rules(k))}": v for k, v in unet.items()}
    for key, value in vae.items():
        name = renamed(key, VAE)
        # The original's attention is made of convolutions of size 1.
        convolution = ".attn_1." in name and name.endswith("weight") and value.ndim == 2
        found[f"first_stage_model.{name}"] = value[:, :, None, None] if convolution else value
    for key, value in text.items():
        bare = key.removeprefix("text_model.")
        found[f"cond_stage_model.transformer.text_model.{bare}"] = value
    return {key: value.contiguous() for key, value in found.items()}


def unet_rules(key: str) -> list[tuple[str, str]]:
    # Only places are renamed within attention blocks; their own parts keep their names.
    return UNET[:17] if ".attentions." in key else UNET


def renamed(key: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key
