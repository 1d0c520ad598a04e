"""What the server asks of an engine, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class Work:
    """One picture to make. Sizes in pixels; `cfg_scale` 1 means no guidance."""

    prompt: str
    negative_prompt: str
    seed: int
    steps: int
    width: int
    height: int
    cfg_scale: float
    sampler: str
    init_image: Image.Image | None = None
    denoising_strength: float = 0.75


@dataclass(frozen=True)
class SamplerInfo:
    name: str
    aliases: tuple[str, ...]


class Interrupted(Exception):
    """Raised by `on_step`: finish with what there is."""


class Dropped(Exception):
    """Raised by `on_step`: nobody wants the picture any more."""


class EngineError(Exception):
    """The engine cannot be set up as asked; the message says why and what to do."""


# Called after each step with its number from 1, the number of steps, and a way to see the picture
# as it is now (slow; may be called from another thread, later).
OnStep = Callable[[int, int, Callable[[], Image.Image]], None]


class Engine(Protocol):
    name: str
    model_hash: str
    filename: str
    samplers: Sequence[SamplerInfo]

    def generate(self, work: Work, on_step: OnStep) -> Image.Image:
        """The finished picture, RGB, of the size asked for. Blocks; one call at a time."""
        ...
