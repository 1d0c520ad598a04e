"""What a policy answers, and the bounds that every policy keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from tidegate.autoscaling.settings import ScaleSettings

# Timers and their deadlines are sums of floats: this much is the same instant.
TIME_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Decision:
    """How many pods a revision should have now.

    Attributes:
        desired: pods, within the bounds.
        active: whether there is demand, or was within the window.
        look_again: the instant on the monotonic clock at which time alone may change the
            decision; None if only new demand can.
    """

    desired: int
    active: bool
    look_again: float | None = None


def pods_for(load: float, target_total: float, utilization: float) -> int:
    """ceil(load / (target_total x utilization)), exact in the decimals that people write.

    In floats 7 / (10 x 0.7) is a little above 1 and would cost a pod.
    """
    if load <= 0:
        return 0
    target = Fraction(str(target_total)) * Fraction(str(utilization))
    return math.ceil(Fraction(str(load)) / max(target, Fraction(1, 100)))


def lower_bound(settings: ScaleSettings, *, initialized: bool) -> int:
    """Fewest pods: the initial scale until it has been reached once, then the minimum."""
    return settings.min_scale if initialized else max(settings.min_scale, settings.initial_scale)


def clamp(desired: int, settings: ScaleSettings, *, initialized: bool) -> int:
    """`desired` within minimum and maximum; the maximum wins over the initial scale."""
    bounded = max(desired, lower_bound(settings, initialized=initialized))
    return min(bounded, settings.max_scale) if settings.max_scale else bounded
