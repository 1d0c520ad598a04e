"""Pods that NoExecute taints drive from their node, in virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from tests.workloads.support import running_controllers
from tidegate.kube.objects import condition_of, is_deleting
from tidegate.kube.resources import EVENTS, NODES, PODS

BROKEN = {"key": "disk", "value": "broken", "effect": "NoExecute"}
SLOW = {"key": "net", "effect": "NoExecute"}


class House:
    """A world with a node, and what a test does with its taints."""

    def __init__(self, world):
        self.world = world

    async def create(self, *tolerations, name="a", node="tidegate"):
        pod = {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "main", "image": "counter:v1"}],
                "tolerations": list(tolerations),
            },
        }
        await self.world.client.create(PODS, pod)
        await self.world.settle()

    async def taint(self, *taints):
        await self.world.client.patch(NODES, "tidegate", {"spec": {"taints": list(taints)}})
        await self.world.settle()

    async def has_gone(self, name="a"):
        return is_deleting(await self.world.get(PODS, name))


@asynccontextmanager
async def house(directory):
    async with running_controllers(directory) as world:
        await world.client.create(NODES, {"metadata": {"name": "tidegate"}})
        yield House(world)


def bearing(key, seconds=None, **more):
    asked = {"key": key, "operator": "Exists", "effect": "NoExecute", **more}
    return asked if seconds is None else {**asked, "tolerationSeconds": seconds}


@pytest.mark.parametrize(
    ("toleration", "gone"),
    [
        (bearing("disk"), False),
        ({"key": "disk", "value": "broken"}, False),
        ({"operator": "Exists"}, False),
        ({"key": "disk", "value": "dusty"}, True),
        ({"key": "disk", "operator": "Exists", "effect": "NoSchedule"}, True),
        (bearing("net"), True),
        (bearing("disk", 0), True),
        (bearing("disk", -5), True),
    ],
)
async def test_a_taint_drives_away_what_does_not_tolerate_it(tmp_path, toleration, gone):
    async with house(tmp_path) as node:
        await node.create(toleration)
        await node.create(name="elsewhere", node="other")
        await node.taint({**BROKEN, "effect": "NoSchedule"})
        assert not await node.has_gone()
        await node.taint(BROKEN)
        assert await node.has_gone() is gone
        assert not await node.has_gone("elsewhere")


async def test_a_pod_is_told_why_it_goes(tmp_path):
    async with house(tmp_path) as node:
        await node.taint(BROKEN)
        await node.create()
        pod = await node.world.get(PODS, "a")
        condition = condition_of(pod, "DisruptionTarget")
        assert (condition["status"], condition["reason"]) == ("True", "DeletionByTaintManager")
        events = (await node.world.client.list(EVENTS, namespace="default")).items
        assert [event["message"] for event in events] == ["Marking for deletion Pod default/a"]


async def test_a_pod_stays_as_long_as_it_tolerates(tmp_path):
    async with house(tmp_path) as node:
        await node.create(bearing("disk", 60), bearing("net"))
        await node.taint(BROKEN, SLOW)
        await node.world.advance(59)
        assert not await node.has_gone()
        await node.world.advance(2)
        assert await node.has_gone()


async def test_the_shortest_of_the_times_counts(tmp_path):
    async with house(tmp_path) as node:
        await node.create(bearing("disk", 60), bearing("net", 20))
        await node.taint(BROKEN)
        await node.world.advance(10)
        await node.taint(BROKEN, SLOW)
        await node.world.advance(11)
        assert await node.has_gone()


async def test_a_taint_that_goes_in_time_is_forgotten(tmp_path):
    async with house(tmp_path) as node:
        await node.create(bearing("disk", 60))
        await node.taint(BROKEN)
        await node.world.advance(50)
        await node.taint()
        await node.world.advance(50)
        await node.taint(BROKEN)
        await node.world.advance(50)
        assert not await node.has_gone()
        await node.world.advance(11)
        assert await node.has_gone()


async def test_what_is_over_stays(tmp_path):
    async with house(tmp_path) as node:
        await node.create()
        await node.world.client.patch(
            PODS, "a", {"status": {"phase": "Succeeded"}}, namespace="default", subresource="status"
        )
        await node.taint(BROKEN)
        assert not await node.has_gone()
