"""Puts the autoscaler together."""

from __future__ import annotations

from tidegate.apis.demand import DemandSource
from tidegate.autoscaling.scaler import Scaler
from tidegate.kube.controller import Context, Runnable


def build(context: Context, demand: DemandSource) -> list[Runnable]:
    """The autoscaler on its own identity's context, fed by `demand`; not running yet."""
    return [Scaler(context, demand)]
