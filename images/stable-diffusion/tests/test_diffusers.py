"""The engine for real weights, with a small pipeline of random ones.

Skipped where diffusers is not installed; `make test-diffusers` installs it and runs them.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import torch
from a1111 import Running, info_of, opened, png_text, started
from original_names import original
from PIL import Image
from random_pipeline import SMALL, save

from sdserver.engines.base import Dropped, EngineError, Interrupted, Work
from sdserver.engines.diffusers import SCHEDULERS, DiffusersEngine

WORK = Work("cat", "dog", seed=3, steps=4, width=64, height=64, cfg_scale=5.0, sampler="DDIM")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # Threads within operations this small only wait for each other where the cores are shared.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion pipeline in its usual directory form, with few weights."""
    at = tmp_path_factory.mktemp("model") / "random-sd"
    assert save(at, SMALL) < 2_000_000
    return at


@pytest.fixture(scope="module")
def single_file(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights in one file, in the original's format, the configuration beside it."""
    from safetensors.torch import load_file, save_file

    def part(name: str) -> dict[str, Any]:
        (path,) = (weights / name).glob("*.safetensors")
        return load_file(path)

    at = tmp_path_factory.mktemp("single")
    shutil.copytree(weights, at / "one", ignore=shutil.ignore_patterns("*.safetensors"))
    parts = original(part("unet"), part("vae"), part("text_encoder"))
    save_file(parts, at / "one.safetensors")
    return at / "one.safetensors"


@pytest.fixture(scope="module")
def serving(weights: Path) -> Iterator[Running]:
    """A server that found the weights in a directory of models; it sees no GPU."""
    environment = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with started("--ckpt-dir", str(weights.parent), env=environment, patience=300) as running:
        yield running


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


def test_a_sampler_is_the_same_whichever_came_before(
    engine: DiffusersEngine, weights: Path
) -> None:
    fresh = DiffusersEngine(weights)
    for sampler in (*SCHEDULERS, *SCHEDULERS):
        engine.generate(Work(**{**WORK.__dict__, "sampler": sampler}), quiet)
    assert np.array_equal(
        np.asarray(engine.generate(WORK, quiet)), np.asarray(fresh.generate(WORK, quiet))
    )


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


def test_img2img_goes_from_the_picture_as_far_as_told(engine: DiffusersEngine) -> None:
    red = Image.new("RGB", (80, 50), "red")

    def at(strength: float) -> Image.Image:
        work = {**WORK.__dict__, "init_image": red, "denoising_strength": strength}
        return engine.generate(Work(**work), quiet)

    kept, half, whole = at(0), at(0.5), at(1)
    assert kept.size == half.size == whole.size == (64, 64)
    assert kept.getpixel((5, 5)) == (255, 0, 0)
    assert not np.array_equal(np.asarray(half), np.asarray(whole))
    assert np.array_equal(np.asarray(half), np.asarray(at(0.5)))


def test_the_prompts_and_guidance_tell(engine: DiffusersEngine) -> None:
    told = [{}, {"prompt": "house"}, {"negative_prompt": "tree"}, {"cfg_scale": 1.0}]
    made = [engine.generate(Work(**{**WORK.__dict__, **fields}), quiet) for fields in told]
    assert len({picture.tobytes() for picture in made}) == len(told)


def test_a_single_file_is_read_with_the_configuration_beside_it(
    single_file: Path, engine: DiffusersEngine
) -> None:
    single = DiffusersEngine(single_file)
    assert single.name == "one"
    assert np.array_equal(
        np.asarray(single.generate(WORK, quiet)), np.asarray(engine.generate(WORK, quiet))
    )


def test_without_a_gpu_it_computes_on_the_cpu_in_full_precision(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    engine = DiffusersEngine(weights)
    assert (engine.device, engine.dtype) == ("cpu", torch.float32)
    assert engine.generate(WORK, quiet).size == (64, 64)


def test_on_a_gpu_it_computes_in_half_precision(weights: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    engine = DiffusersEngine(weights)
    assert (engine.device, engine.dtype) == ("cuda", torch.float16)
    first = engine.generate(WORK, quiet)
    assert np.array_equal(np.asarray(first), np.asarray(engine.generate(WORK, quiet)))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "model.safetensors"
    bad.write_bytes(b"\0" * 64)
    with pytest.raises(EngineError, match="no Stable Diffusion model"):
        DiffusersEngine(bad)


def test_the_server_takes_the_first_model_of_a_directory(serving: Running) -> None:
    client = serving.client
    assert client.get("sd-models")[0]["model_name"] == "random-sd"
    fields = {"steps": 2, "width": 64, "height": 64}
    answer = client.txt2img("cat", seed=1, **fields)
    assert opened(answer["images"][0]).size == (64, 64)
    assert info_of(answer)["sd_model_name"] == "random-sd"
    assert client.txt2img("cat", seed=1, **fields)["images"] == answer["images"]
    assert client.txt2img("cat", seed=2, **fields)["images"] != answer["images"]


def test_img2img_over_the_api(serving: Running) -> None:
    fields = {"steps": 4, "width": 64, "height": 64, "seed": 1, "denoising_strength": 0.6}
    answers = [
        serving.client.post("img2img", {**fields, "init_images": [png_text(color=color)]})
        for color in ("red", "red", "blue")
    ]
    first, again, other = (answer.json()["images"][0] for answer in answers)
    assert opened(first).size == (64, 64)
    assert first == again != other


def test_progress_shows_the_picture_in_work_and_interrupt_ends_it(serving: Running) -> None:
    client = serving.client
    answers: list[dict[str, Any]] = []
    fields = {"seed": 1, "steps": 150, "sampler_name": "Heun", "width": 64, "height": 64}
    ask = threading.Thread(target=lambda: answers.append(client.txt2img("cat", n_iter=8, **fields)))
    ask.start()
    serving.until_sampling(3)
    now = client.get("progress")
    assert 0 < now["progress"] < 1
    assert now["state"]["sampling_steps"] == 150
    preview = opened(now["current_image"])
    assert preview.width == preview.height
    assert len(preview.getcolors(preview.width * preview.height) or []) > 1
    client.post("interrupt").raise_for_status()
    ask.join(60)
    assert info_of(answers[0])["interrupted"] is True
    assert len(answers[0]["images"]) < 8
    assert opened(answers[0]["images"][0]).size == (64, 64)
    assert client.txt2img("cat", steps=1, width=64, height=64)["images"]


def test_the_server_takes_a_single_file_and_ends_when_told(single_file: Path) -> None:
    environment = {"OMP_NUM_THREADS": "1"}
    with started("--ckpt", str(single_file), env=environment, patience=300) as running:
        client = running.client
        assert client.get("sd-models")[0]["model_name"] == "one"
        assert opened(client.txt2img("cat", steps=2, width=64, height=64)["images"][0])
        assert running.terminate(within=60) == 0
