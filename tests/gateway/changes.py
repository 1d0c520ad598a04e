"""What an operator, or an autoscaler, does to a gateway in its tests."""

from __future__ import annotations

from dataclasses import replace

from tests.gateway.world import World
from tidegate.gateway.settings import GatewaySettings
from tidegate.kube.objects import annotations_of
from tidegate.kube.resources import PODS


async def upgrade(world: World, settings: GatewaySettings | None = None) -> int:
    """End the agent, and start one whose HAProxy is configured otherwise; returns the old pid."""
    old = world.gateway._plane.process.pid
    await world.end_agent()
    further = replace(world.settings, hold_seconds=world.settings.hold_seconds + 1)
    world.settings = settings or further
    await world.start()
    assert world.gateway._plane.process.pid not in (0, old)
    return old


async def annotate(world: World, pod: str, annotations: dict[str, str | None]) -> None:
    """Write annotations of a pod; None takes one away."""
    patch = {"metadata": {"annotations": annotations}}
    await world.client.patch(PODS, pod, patch, namespace="default")


async def is_drained(world: World, pod: str) -> bool:
    """Whether the gateway has said that nothing is in flight there."""
    return annotations_of(await world.get(PODS, pod)).get("tidegate.dev/drained") == "gateway"
