"""The samplers, in the terms of k-diffusion: x = x0 + sigma * noise, stepped down to sigma 0.

Every sampler calls `denoise(x, sigma)`, which gives the model's guess of x0, and tells `on_step`
each guess; `on_step` may raise to stop. Formulas: Karras et al., "Elucidating the Design Space of
Diffusion-Based Generative Models" (2022); Lu et al., "DPM-Solver++" (2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Denoise = Callable[[Array, float], Array]
OnStep = Callable[[int, Array], None]

# From noise to picture, in the angle t of alpha = cos(pi t / 2), sigma = sin(pi t / 2).
FIRST_ANGLE, LAST_ANGLE = 0.99, 0.04
KARRAS_RHO = 7.0


@dataclass(frozen=True)
class Sampler:
    """A sampler as the API lists it; `aliases` are the names k-diffusion gives it."""

    name: str
    run: Callable[[Denoise, Array, list[float], np.random.Generator, OnStep], Array]
    aliases: tuple[str, ...] = ()
    karras: bool = False


def sigmas_of(steps: int, *, karras: bool) -> list[float]:
    """`steps` + 1 noise levels, the last one 0; even steps of the angle, or Karras's spacing."""
    if steps == 1:
        return [sigma_at(FIRST_ANGLE), 0.0]
    if karras:
        high = sigma_at(FIRST_ANGLE) ** (1 / KARRAS_RHO)
        low = sigma_at(LAST_ANGLE) ** (1 / KARRAS_RHO)
        ramp = [(high + (low - high) * i / (steps - 1)) ** KARRAS_RHO for i in range(steps)]
    else:
        gap = (FIRST_ANGLE - LAST_ANGLE) / (steps - 1)
        ramp = [sigma_at(FIRST_ANGLE - gap * i) for i in range(steps)]
    return [*ramp, 0.0]


def sigma_at(angle: float) -> float:
    return math.tan(angle * math.pi / 2)


def angle_at(sigma: float) -> float:
    return math.atan(sigma) * 2 / math.pi


def euler(
    denoise: Denoise, x: Array, sigmas: list[float], rng: np.random.Generator, on_step: OnStep
) -> Array:
    for i, (now, after) in enumerate(pairwise(sigmas)):
        guess = denoise(x, now)
        on_step(i, guess)
        x = guess + (x - guess) * np.float32(after / now)
    return x


def euler_ancestral(
    denoise: Denoise, x: Array, sigmas: list[float], rng: np.random.Generator, on_step: OnStep
) -> Array:
    for i, (now, after) in enumerate(pairwise(sigmas)):
        guess = denoise(x, now)
        on_step(i, guess)
        up = min(after, math.sqrt(after**2 * (now**2 - after**2) / now**2))
        down = math.sqrt(after**2 - up**2)
        x = guess + (x - guess) * np.float32(down / now)
        if up > 0:
            x = x + rng.standard_normal(x.shape, dtype=np.float32) * np.float32(up)
    return x


def heun(
    denoise: Denoise, x: Array, sigmas: list[float], rng: np.random.Generator, on_step: OnStep
) -> Array:
    for i, (now, after) in enumerate(pairwise(sigmas)):
        guess = denoise(x, now)
        on_step(i, guess)
        slope = (x - guess) / np.float32(now)
        ahead = x + slope * np.float32(after - now)
        if after > 0:
            slope = (slope + (ahead - denoise(ahead, after)) / np.float32(after)) / 2
            ahead = x + slope * np.float32(after - now)
        x = ahead
    return x


def dpm_2m(
    denoise: Denoise, x: Array, sigmas: list[float], rng: np.random.Generator, on_step: OnStep
) -> Array:
    """DPM-Solver++(2M): second order from the guess of the step before."""
    before: Array | None = None
    for i, (now, after) in enumerate(pairwise(sigmas)):
        guess = denoise(x, now)
        on_step(i, guess)
        if after == 0:
            return guess
        gap = math.log(now / after)
        lead = guess
        if before is not None:
            ratio = math.log(sigmas[i - 1] / now) / gap
            lead = guess * np.float32(1 + 1 / (2 * ratio)) - before * np.float32(1 / (2 * ratio))
        x = x * np.float32(after / now) - lead * np.float32(math.expm1(-gap))
        before = guess
    return x


SAMPLERS = (
    Sampler("DPM++ 2M", dpm_2m, ("k_dpmpp_2m",)),
    Sampler("DPM++ 2M Karras", dpm_2m, ("k_dpmpp_2m_ka",), karras=True),
    Sampler("Euler a", euler_ancestral, ("k_euler_a", "k_euler_ancestral")),
    Sampler("Euler", euler, ("k_euler",)),
    Sampler("Heun", heun, ("k_heun",)),
    # In these terms DDIM without noise is Euler's method.
    Sampler("DDIM", euler, ("ddim",)),
)
