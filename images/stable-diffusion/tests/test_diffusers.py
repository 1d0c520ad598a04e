"""The engine for real weights, with a small pipeline of random ones; only where diffusers is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from a1111 import info_of, opened, png_text, started
from original_names import original
from PIL import Image

from sdserver.engines.base import Dropped, EngineError, Interrupted, Work
from sdserver.engines.diffusers import SCHEDULERS, DiffusersEngine

WORK = Work("cat", "dog", seed=3, steps=4, width=64, height=64, cfg_scale=5.0, sampler="DDIM")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion pipeline in its usual directory form, with a few thousand weights."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    at = tmp_path_factory.mktemp("model") / "random-sd"
    words = tmp_path_factory.mktemp("words")
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(c + "</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {p: n for n, p in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}
    (words / "vocab.json").write_text(json.dumps(vocabulary))
    (words / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(
        str(words / "vocab.json"), str(words / "merges.txt"), model_max_length=77
    )
    text = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=37, num_hidden_layers=2,
        num_attention_heads=4, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(32, 32), in_channels=3, out_channels=3, latent_channels=4,
            down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, sample_size=32,
            in_channels=4, out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(at, safe_serialization=True)  # fmt: skip
    return at


@pytest.fixture(scope="module")
def engine(weights: Path) -> DiffusersEngine:
    return DiffusersEngine(weights)


def quiet(step: int, steps: int, preview: Callable[[], Image.Image]) -> None:
    pass


@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_a_seed_means_a_picture_with_every_sampler(engine: DiffusersEngine, sampler: str) -> None:
    work = Work(**{**WORK.__dict__, "sampler": sampler})
    first, second = engine.generate(work, quiet), engine.generate(work, quiet)
    assert first.size == (64, 64)
    assert np.array_equal(np.asarray(first), np.asarray(second))
    other = engine.generate(Work(**{**work.__dict__, "seed": 4}), quiet)
    assert not np.array_equal(np.asarray(first), np.asarray(other))


def test_steps_are_told_with_previews(engine: DiffusersEngine) -> None:
    seen: list[tuple[int, int, tuple[int, int]]] = []
    engine.generate(WORK, lambda step, steps, preview: seen.append((step, steps, preview().size)))
    assert [(step, steps) for step, steps, _ in seen] == [(n, 4) for n in (1, 2, 3, 4)]
    assert all(size[0] == size[1] for _, _, size in seen)


def test_interrupting_gives_what_there_is_and_dropping_nothing(engine: DiffusersEngine) -> None:
    steps: list[int] = []

    def interrupt(step: int, total: int, preview: Callable[[], Image.Image]) -> None:
        steps.append(step)
        raise Interrupted

    assert engine.generate(WORK, interrupt).size == (64, 64)
    assert steps == [1]

    def drop(step: int, total: int, preview: Callable[[], Image.Image]) -> None:
        raise Dropped

    with pytest.raises(Dropped):
        engine.generate(WORK, drop)
    assert engine.generate(WORK, quiet).size == (64, 64)


def test_img2img(engine: DiffusersEngine) -> None:
    red = Image.new("RGB", (80, 50), "red")
    work = Work(**{**WORK.__dict__, "init_image": red, "denoising_strength": 0.5})
    assert engine.generate(work, quiet).size == (64, 64)
    kept = engine.generate(Work(**{**work.__dict__, "denoising_strength": 0.0}), quiet)
    assert kept.getpixel((5, 5)) == (255, 0, 0)


def test_a_single_file_is_read_with_the_configuration_beside_it(
    weights: Path, engine: DiffusersEngine, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    def part(name: str) -> dict[str, Any]:
        (path,) = (weights / name).glob("*.safetensors")
        return load_file(path)

    shutil.copytree(weights, tmp_path / "one", ignore=shutil.ignore_patterns("*.safetensors"))
    parts = original(part("unet"), part("vae"), part("text_encoder"))
    save_file(parts, tmp_path / "one.safetensors")
    single = DiffusersEngine(tmp_path / "one.safetensors")
    assert single.name == "one"
    assert np.array_equal(
        np.asarray(single.generate(WORK, quiet)), np.asarray(engine.generate(WORK, quiet))
    )


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "model.safetensors"
    bad.write_bytes(b"\0" * 64)
    with pytest.raises(EngineError, match="no Stable Diffusion model"):
        DiffusersEngine(bad)


def test_the_server_serves_it(weights: Path) -> None:
    with started("--ckpt", str(weights)) as running:
        client = running.client
        assert client.get("sd-models")[0]["model_name"] == "random-sd"
        fields = {"steps": 2, "width": 64, "height": 64, "seed": 1}
        answer = client.txt2img("cat", **fields)
        assert opened(answer["images"][0]).size == (64, 64)
        assert info_of(answer)["sd_model_name"] == "random-sd"
        assert client.txt2img("cat", **fields)["images"] == answer["images"]
        again = client.post(
            "img2img", {**fields, "init_images": [png_text()], "denoising_strength": 0.6}
        )
        assert again.status_code == 200
        assert running.terminate(within=20) == 0
