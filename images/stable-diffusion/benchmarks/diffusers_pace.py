"""Pictures per second of the diffusers engine: Stable Diffusion 1.5's size, random weights.

The weights are random since only their number matters to the pace. They are written to a temporary
directory (2 GB) and loaded by the engine as any other model, in half precision on a GPU. Prints one
line of JSON; times in seconds, the pace from the median of the pictures after a first one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

import diffusers  # noqa: E402
import torch  # noqa: E402
from random_pipeline import SD15, SMALL, save  # noqa: E402

from sdserver.engines.base import Work  # noqa: E402
from sdserver.engines.diffusers import SCHEDULERS, DiffusersEngine  # noqa: E402


def seconds_of(engine: DiffusersEngine, options: argparse.Namespace, seed: int) -> float:
    work = Work(
        prompt="a cat", negative_prompt="a dog", seed=seed, steps=options.steps,
        width=options.side, height=options.side, cfg_scale=7.0, sampler=options.sampler,
    )  # fmt: skip
    began = time.perf_counter()
    # The picture comes back as bytes in main memory, so a GPU has finished by then.
    engine.generate(work, lambda *_: None)
    return time.perf_counter() - began


def measured(options: argparse.Namespace) -> dict[str, object]:
    with TemporaryDirectory() as directory:
        at = Path(directory) / f"random-{options.size}"
        half = torch.cuda.is_available()
        weights = save(
            at,
            {"sd15": SD15, "small": SMALL}[options.size],
            dtype=torch.float16 if half else torch.float32,
        )
        began = time.perf_counter()
        engine = DiffusersEngine(at)
        loading = time.perf_counter() - began
    first = seconds_of(engine, options, 0)
    median = statistics.median(seconds_of(engine, options, n) for n in range(options.pictures))
    return {
        "device": torch.cuda.get_device_name() if half else "cpu",
        "dtype": str(engine.dtype).removeprefix("torch."),
        "weights": weights,
        "side": options.side,
        "steps": options.steps,
        "sampler": options.sampler,
        "pictures": options.pictures,
        "load_s": round(loading, 2),
        "first_s": round(first, 3),
        "median_s": round(median, 3),
        "pictures_per_second": round(1 / median, 3),
        "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if half else None,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["sd15", "small"], default="sd15")
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--sampler", choices=list(SCHEDULERS), default="DPM++ 2M")
    print(json.dumps(measured(parser.parse_args())))


if __name__ == "__main__":
    main()
