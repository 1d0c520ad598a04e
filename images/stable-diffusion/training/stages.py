"""What the trainings share: stages measured in steps, which may be stopped and resumed.

What a step draws at random comes from the seed, the stage's name and the step's number alone, so a
run is a function of its seed and its numbers of steps, whatever the clock says: one that was
stopped and resumed draws what an unbroken one draws, and ends with the same weights.
"""

from __future__ import annotations

import random
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

RUNS = Path(__file__).parent / "runs"


class Draws:
    """The random streams of one step."""

    def __init__(self, seed: int, stage: str, step: int) -> None:
        entropy = [seed, zlib.crc32(stage.encode()), step]
        self.numbers = np.random.default_rng(entropy)
        self.words = random.Random(repr(entropy))
        self.noise = torch.Generator().manual_seed(int(self.numbers.integers(2**63)))


class Part(Protocol):
    """A model or an optimizer."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class Stage:
    """Iterates over the draws of the steps still to be done, and keeps `parts` in a checkpoint.

    It is written every few minutes, after the last step, and when SIGINT or SIGTERM comes, which
    ends the process once the step in work is done.
    """

    def __init__(
        self,
        name: str,
        parts: dict[str, Part],
        *,
        seed: int,
        steps: int,
        runs: Path = RUNS,
        save_every: float = 180,
    ) -> None:
        self.name, self.seed, self.steps = name, seed, steps
        self.path = runs / f"{name}.pt"
        self.step = 0
        self._parts, self._save_every = parts, save_every
        self._average: float | None = None
        self._seconds = self._processor = 0.0
        self._stop: list[int] = []

    def __iter__(self) -> Iterator[Draws]:
        self._load()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda n, _: self._stop.append(n))
        saved = self._marked = self._clocks()
        while self.step < self.steps:
            yield Draws(self.seed, self.name, self.step)
            self.step += 1
            due = time.monotonic() - saved[0] > self._save_every
            if due or self._stop or self.step == self.steps:
                saved = self._clocks()
                self._save()
            if self._stop:
                sys.exit(f"{self.name}: stopped after step {self.step}; start again to go on")

    def report(self, loss: float) -> None:
        """Print the running mean of the loss every hundred steps."""
        self._average = loss if self._average is None else 0.99 * self._average + 0.01 * loss
        if (done := self.step + 1) % 100 == 0:
            self._count()
            print(
                f"{self.name}: step {done} of {self.steps} loss {self._average:.4f} "
                f"{self._seconds:.0f} s, processor {self._processor:.0f} s",
                flush=True,
            )

    def _count(self) -> None:
        now = self._clocks()
        self._seconds += now[0] - self._marked[0]
        self._processor += now[1] - self._marked[1]
        self._marked = now

    @staticmethod
    def _clocks() -> tuple[float, float]:
        return time.monotonic(), time.process_time()

    def _load(self) -> None:
        if not self.path.exists():
            return
        stored = torch.load(self.path)
        for name, part in self._parts.items():
            part.load_state_dict(stored[name])
        self.step = stored["step"]
        self._seconds, self._processor = stored["seconds"], stored["processor"]

    def _save(self) -> None:
        self._count()
        self.path.parent.mkdir(exist_ok=True)
        beside = self.path.with_suffix(".new")
        state = {name: part.state_dict() for name, part in self._parts.items()}
        times = {"seconds": self._seconds, "processor": self._processor}
        torch.save({**state, "step": self.step, **times}, beside)
        beside.replace(self.path)
