"""The training's parts: a stopped run ends as an unbroken one. Skipped where torch is missing."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent.parent / "training"))

from captions import Captioner  # noqa: E402
from cores import Cores  # noqa: E402
from render import Recipe, load_entries, recipes  # noqa: E402
from stages import Draws, Stage  # noqa: E402
from train_diffusion import kind, noised  # noqa: E402

STEPS = 12


def trained(runs: Path, *, stop_after: int | None = None, threads: int = 1) -> list[float]:
    """The weights of a linear model after a stage of steps on noise."""
    torch.manual_seed(3)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    cores = Cores(threads)
    stage = Stage("toy", {"model": model, "optimizer": optimizer}, seed=5, steps=STEPS, runs=runs)
    for draws in stage:
        batch = torch.randn((8, 4), generator=draws.noise)
        shift = torch.tensor(draws.numbers.random(8), dtype=torch.float32)
        cores.gradients(
            lambda x, y: (model(x) - y[:, None]).square().mean(),
            list(model.parameters()),
            batch,
            shift,
        )
        optimizer.step()
        if stage.step + 1 == stop_after:
            signal.raise_signal(signal.SIGTERM)
    return torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()


@pytest.fixture(autouse=True)
def _handlers():
    kept = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_stopped_run_goes_on_as_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = trained(tmp_path / "unbroken")
    for after in (3, 7):
        with pytest.raises(SystemExit, match=f"stopped after step {after}"):
            trained(tmp_path / "broken", stop_after=after)
    assert trained(tmp_path / "broken") == unbroken
    # A finished stage has nothing left to do.
    assert trained(tmp_path / "broken") == unbroken


def test_the_gradients_of_the_parts_make_up_those_of_the_batch(tmp_path: Path) -> None:
    one, two = trained(tmp_path / "one"), trained(tmp_path / "two", threads=2)
    assert two == pytest.approx(one, rel=1e-4)


def test_a_step_draws_the_same_whenever_it_is_done() -> None:
    def drawn(seed: int, stage: str, step: int) -> tuple[float, float, float]:
        draws = Draws(seed, stage, step)
        noise = torch.rand(1, generator=draws.noise).item()
        return float(draws.numbers.random()), draws.words.random(), noise

    assert drawn(1, "sketch", 7) == drawn(1, "sketch", 7)
    others = {drawn(1, "sketch", 7), drawn(2, "sketch", 7), drawn(1, "sketch", 8)}
    assert len(others | {drawn(1, "diffusion", 7)}) == 4


def test_noise_lies_between_picture_and_noise_as_time_says() -> None:
    latents = torch.ones(256, 1, 4, 4)
    x, t, v = noised(latents, torch.Generator().manual_seed(1))
    alpha, sigma = (torch.cos(t * np.pi / 2), torch.sin(t * np.pi / 2))
    back = alpha[:, None, None, None] * x - sigma[:, None, None, None] * v
    assert torch.allclose(back, latents, atol=1e-5)
    assert 0 <= t.min() < 0.02
    assert 0.98 < t.max() <= 1


def test_the_pictures_are_a_function_of_the_seed() -> None:
    entries = load_entries()
    assert recipes(entries, seed=1) == recipes(entries, seed=1) != recipes(entries, seed=2)
    drawn = recipes(entries, seed=1)
    assert sum(kind(r) == "pair" for r in drawn) > len(drawn) / 2
    singles = {r.objects[0] for r in drawn if kind(r) == "single"}
    assert singles == set(range(len(entries)))


def test_no_keyword_is_the_name_of_another() -> None:
    entries = load_entries()
    first = {entry["names"][0] for entry in entries}
    for entry in entries:
        assert not (first - set(entry["names"])) & set(entry["keywords"]), entry


def test_captions_name_what_the_picture_shows() -> None:
    entries = load_entries()
    captioner, rng = Captioner(entries), random.Random(1)
    pair = Recipe((0, 1), "blue", None, flip=False)
    left, right = entries[0], entries[1]
    for _ in range(50):
        text = captioner.caption(pair, rng)
        assert any(word in text for word in (*left["names"], *left["keywords"]))
        assert any(word in text for word in (*right["names"], *right["keywords"]))
