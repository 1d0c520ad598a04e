"""The parts by themselves: flags, words, samplers, infotexts, the queue's order."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdserver import pictures, samplers
from sdserver.engines.base import Engine, EngineError, SamplerInfo, Work
from sdserver.engines.pixels import fitted
from sdserver.engines.tiny import TinyEngine, guided
from sdserver.flags import parse_flags
from sdserver.studio import Busy, Ending, Job, Studio
from sdserver.tokenizer import FIRST_PIECE, HASHED, MAX_TOKENS, PAD, START, Tokenizer, words_of

IMAGE = Path(__file__).parent.parent
WORK = Work("cat", "", 1, 4, 64, 64, 7.0, "Euler")


@pytest.mark.parametrize(
    ("arguments", "environment", "host", "port"),
    [
        ([], {}, "127.0.0.1", 7860),
        (["--listen"], {}, "0.0.0.0", 7860),
        (["--listen"], {"PORT": "9", "LISTEN_HOST": "127.0.0.1"}, "127.0.0.1", 9),
        (["--port", "5"], {"PORT": "9"}, "127.0.0.1", 5),
        (["--server-name", "::1", "--listen"], {}, "::1", 7860),
        (
            ["--listen", "--skip-torch-cuda-test", "--api"],
            {"COMMANDLINE_ARGS": "--port 8 --xformers"},
            "0.0.0.0",
            8,
        ),
    ],
)
def test_where_to_listen(
    arguments: list[str], environment: dict[str, str], host: str, port: int
) -> None:
    flags = parse_flags(arguments, environment)
    assert (flags.host, flags.port) == (host, port)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--gradio-auth", "a:b"], {}, "gradio-auth"),
        ([], {"PORT": "http"}, "PORT"),
        (["--port", "70000"], {}, "70000"),
        (["--ckpt", "/no/such.safetensors"], {}, "no/such"),
        (["--ckpt-dir", "/no/such"], {}, "ckpt-dir"),
        (["--grace", "-1"], {}, "grace"),
    ],
)
def test_flags_that_cannot_be_meant(
    arguments: list[str],
    environment: dict[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_flags(arguments, environment)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_first_weights_of_a_directory_are_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "b.safetensors").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model_index.json").touch()
    assert parse_flags(["--ckpt-dir", str(tmp_path)], {}).ckpt == tmp_path / "a"


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="train-tiny"):
        TinyEngine(tmp_path)


def test_words() -> None:
    assert words_of("A Café, don't_stop!") == ["a", "cafe", "dont", "stop"]
    assert words_of("\U0001f431") == ["cat", "face"]


def test_pieces() -> None:
    tokenizer = Tokenizer(["^c", "^cat", "s", "a", "t", "^"])
    ids = {piece: FIRST_PIECE + n for n, piece in enumerate(tokenizer.pieces)}
    assert tokenizer.split("cats") == [ids["^cat"], ids["s"]]
    assert tokenizer.split("cats", lambda: 2) == [ids["^c"], ids["a"], ids["t"], ids["s"]]
    unknown = tokenizer.split("\u732b")
    assert unknown[0] == ids["^"]
    assert 2 <= unknown[1] < 2 + HASHED
    assert tokenizer.encode("") == [START] + [PAD] * (MAX_TOKENS - 1)
    assert len(tokenizer.encode("cats " * 100)) == MAX_TOKENS


def test_the_shipped_pieces_cover_every_letter() -> None:
    tokenizer = Tokenizer.load(IMAGE / "weights" / "tokenizer.json")
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789":
        assert all(i >= FIRST_PIECE for i in tokenizer.split(f"{letter}{letter}"))
    assert tokenizer.split("pizza") != tokenizer.split("rocket")


@pytest.mark.parametrize("sampler", samplers.SAMPLERS, ids=lambda s: s.name)
def test_a_sampler_ends_in_the_distribution_it_is_told(sampler: samplers.Sampler) -> None:
    # Data that is normal with mean 2 and deviation 0.5 has this denoiser exactly.
    def denoise(x: samplers.Array, sigma: float) -> samplers.Array:
        return (x * np.float32(0.25) + np.float32(2 * sigma**2)) / np.float32(0.25 + sigma**2)

    rng = np.random.default_rng(0)
    sigmas = samplers.sigmas_of(40, karras=sampler.karras)
    assert sigmas[-1] == 0
    assert sorted(sigmas, reverse=True) == sigmas
    x = rng.standard_normal(4000, dtype=np.float32) * np.float32(sigmas[0])
    steps: list[int] = []
    made = sampler.run(denoise, x, sigmas, rng, lambda i, _: steps.append(i))
    assert steps == list(range(40))
    assert made.mean() == pytest.approx(2, abs=0.06)
    assert made.std() == pytest.approx(0.5, abs=0.06)


def test_one_step_is_enough_for_every_sampler() -> None:
    for sampler in samplers.SAMPLERS:
        rng = np.random.default_rng(0)
        sigmas = samplers.sigmas_of(1, karras=sampler.karras)
        made = sampler.run(
            lambda x, _: x * 0 + 3, np.ones(2, np.float32), sigmas, rng, lambda *_: None
        )
        assert made == pytest.approx([3, 3])


def test_guidance_keeps_the_contrast_near() -> None:
    wanted = np.linspace(-1, 1, 100, dtype=np.float32)
    pushed = guided(wanted, -wanted, 7)
    assert wanted.std() < pushed.std() < 13 * wanted.std()
    assert np.allclose(guided(wanted, wanted, 7), wanted)


@pytest.mark.parametrize("prompt", ["cat", "two\nlines", "a: b, c: d", ""])
def test_infotexts_are_read_back(prompt: str) -> None:
    work = Work(prompt, "a dog,\nred: blue", 3, 20, 512, 256, 7.5, "Euler a")
    fields = pictures.parse_infotext(pictures.infotext(work, model="m", model_hash="0123456789ab"))
    assert fields["Prompt"] == prompt
    assert fields["Negative prompt"] == "a dog,\nred: blue"
    assert fields["Seed"] == "3"
    assert fields["CFG scale"] == "7.5"
    assert (fields["Size-1"], fields["Size-2"]) == ("512", "256")


def test_infotexts_of_other_programs() -> None:
    text = 'a cat\nSteps: 20, Sampler: Euler a, Lora hashes: "a: 1, b: 2", Size: 64x64, Seed: 1'
    fields = pictures.parse_infotext(text)
    assert (fields["Prompt"], fields["Lora hashes"], fields["Seed"]) == ("a cat", "a: 1, b: 2", "1")
    assert pictures.parse_infotext("just words")["Prompt"] == "just words"


def test_a_picture_of_another_shape_keeps_its_ground() -> None:
    picture = Image.new("RGB", (128, 128), (10, 200, 30))
    picture.paste((255, 0, 0), (32, 32, 96, 96))
    wide = fitted(picture, 256, 128)
    assert wide.size == (256, 128)
    assert wide.getpixel((2, 64)) == (10, 200, 30)
    assert wide.getpixel((128, 64)) == (255, 0, 0)


class Gated:
    """An engine whose steps wait for a permit, so that a test decides what happens when."""

    name, model_hash, filename = "gated", "0" * 64, "gated"
    samplers = (SamplerInfo("Euler", ()),)

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.order: list[int] = []

    def generate(self, work: Work, on_step: Callable[..., None]) -> Image.Image:
        self.order.append(work.seed)
        for step in range(work.steps):
            self.permits.acquire()
            on_step(step + 1, work.steps, lambda: Image.new("RGB", (8, 8)))
        return Image.new("RGB", (8, 8))


def job(seed: int) -> Job:
    return Job([Work("", "", seed, 2, 64, 64, 7.0, "Euler")])


def run_with_studio(body: Callable[[Studio, Gated], object]) -> None:
    engine = Gated()
    accepted: Engine = engine

    async def run() -> None:
        await body(Studio(accepted), engine)  # type: ignore[misc]

    asyncio.run(run())


def test_first_come_first_served_and_a_cancelled_wait_leaves_no_trace() -> None:
    async def body(studio: Studio, engine: Gated) -> None:
        tasks = [asyncio.create_task(studio.make(job(n))) for n in range(4)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        engine.permits.release(100)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(d, list) for d in done] == [True, True, False, True]
        assert engine.order == [0, 1, 3]
        assert studio.current is None

    run_with_studio(body)


def test_the_next_begins_only_when_the_engine_is_free() -> None:
    async def body(studio: Studio, engine: Gated) -> None:
        first = asyncio.create_task(studio.make(job(1)))
        while not engine.order:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(studio.make(job(2)))
        for _ in range(3):
            first.cancel()
            await asyncio.sleep(0.01)
        assert engine.order == [1]
        engine.permits.release(100)
        assert len(await second) == 1
        assert engine.order == [1, 2]
        assert first.cancelled()

    run_with_studio(body)


def test_cutting_off_ends_all_and_takes_no_more() -> None:
    async def body(studio: Studio, engine: Gated) -> None:
        tasks = [asyncio.create_task(studio.make(job(n))) for n in range(3)]
        while not engine.order:
            await asyncio.sleep(0.001)
        studio.cut_off()
        engine.permits.release(100)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(d) for d in done] == [Ending] * 3
        with pytest.raises(Ending):
            await studio.make(job(9))

    run_with_studio(body)


def test_the_queue_has_an_end() -> None:
    async def body(studio: Studio, engine: Gated) -> None:
        tasks = [asyncio.create_task(studio.make(job(n))) for n in range(80)]
        while not engine.order:
            await asyncio.sleep(0.001)
        engine.permits.release(1000)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(d, Busy) for d in done) == 15

    run_with_studio(body)


def test_what_is_preloaded_is_there_and_starts_nothing() -> None:
    import subprocess
    import sys

    manifest = tomllib.loads((IMAGE / "image.toml").read_text())
    lines = [f"import {name}" for name in manifest["preload"]]
    script = ";".join([*lines, "import os;print(len(os.listdir('/proc/self/task')))"])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**manifest["env"], "PATH": ""},
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == b"1"


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    static = IMAGE / "sdserver" / "static"
    for path in static.iterdir():
        text = path.read_text()
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:|//|/)", text), path
    page = (static / "index.html").read_text()
    script = (static / "page.js").read_text()
    for name in re.findall(r'element\("(\w+)"\)', script):
        assert f'id="{name}"' in page


def test_weights_are_small_and_described() -> None:
    weights = IMAGE / "weights"
    assert sum(path.stat().st_size for path in weights.iterdir()) <= 20_000_000
    assert json.loads((weights / "model.json").read_text())["picture_side"] >= 128


def test_the_extra_asks_for_what_the_image_pins() -> None:
    project = tomllib.loads((IMAGE.parent.parent / "pyproject.toml").read_text())["project"]
    asked = dict(p.split(">=") for p in project["optional-dependencies"]["diffusers"])
    lines = (IMAGE / "requirements-diffusers.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert asked.keys() == pinned.keys()
    for name, least in asked.items():
        assert f"{pinned[name]}.".startswith(f"{least}.")
    assert not any(p.startswith(tuple(asked)) for p in project["dependencies"])
