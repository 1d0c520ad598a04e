"""The controller on a real API with the workload controllers: demand in, pods up and down."""

from __future__ import annotations

import pytest

from tests.autoscaling.world import NAME, World, world_of
from tidegate.apis.autoscaling import KPA_CLASS
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import annotations_of, condition_of
from tidegate.kube.resources import (
    CONFIG_MAPS,
    EVENTS,
)

EXACT = {"target_utilization_percentage": "100", "max_scale": "10"}


async def _busy(world: World, demand: int) -> list[str]:
    """The ready pods of a revision with so many requests, one for each."""
    await world.revision(**EXACT)
    await world.make_ready()
    await world.say(demand)
    await world.make_ready()
    return sorted(await world.pods())


async def test_a_new_revision_proves_itself_and_goes_to_zero_after_window_and_grace(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(replicas=0, **EXACT)
        assert await world.replicas() == 1
        found = await world.autoscaler()
        assert condition_of(found, "Active")["reason"] == "Queued"
        assert condition_of(found, "ScaleTargetInitialized")["status"] == "Unknown"
        await world.advance(20)
        await world.make_ready()
        found = await world.autoscaler()
        assert condition_of(found, "Ready")["status"] == "True"
        assert (found["status"]["desiredScale"], found["status"]["actualScale"]) == (1, 1)
        assert found["status"]["metricsServiceName"] == f"{NAME}-private"
        await world.advance(89)
        assert await world.draining() == set()
        await world.advance(1)
        assert len(await world.draining()) == 1
        assert await world.replicas() == 1
        await world.drained()
        assert await world.replicas() == 0
        found = await world.autoscaler()
        assert condition_of(found, "Active")["reason"] == "NoTraffic"
        assert condition_of(found, "ScaleTargetInitialized")["status"] == "True"
        assert found["status"]["desiredScale"] == 0


async def test_demand_is_answered_at_once_and_a_fall_after_the_window(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(**EXACT)
        await world.make_ready()
        await world.say(5)
        assert await world.replicas() == 5
        await world.say(50)
        assert await world.replicas() == 10
        await world.make_ready()
        pods = sorted(await world.pods())
        await world.advance(30)
        await world.say(2, pods={pods[0]: 1, pods[1]: 1})
        await world.advance(59)
        assert await world.draining() == set()
        await world.advance(1)
        assert await world.draining() == set(pods[2:])
        await world.drained(*pods[2:6])
        assert await world.replicas() == 6
        assert set(pods) - set(await world.pods()) == set(pods[2:6])
        await world.drained(*pods[6:])
        assert await world.replicas() == 2
        assert set(await world.pods()) == set(pods[:2])


async def test_demand_that_returns_takes_draining_pods_back(tmp_path):
    async with world_of(tmp_path) as world:
        pods = await _busy(world, 4)
        await world.say(1, pods={pods[0]: 1})
        await world.advance(60)
        assert await world.draining() == set(pods[1:])
        await world.say(6, pods={pods[0]: 1})
        assert await world.draining() == set()
        assert await world.replicas() == 6
        assert set(pods) < set(await world.pods())
        for pod in (await world.pods()).values():
            assert "controller.kubernetes.io/pod-deletion-cost" not in annotations_of(pod)


async def test_a_fall_takes_pods_whose_sessions_have_ended_first(tmp_path):
    async with world_of(tmp_path) as world:
        pods = await _busy(world, 4)
        start = world.clock.monotonic()
        # One ends before the window does, two are fresh beyond it.
        sessions = {pods[1]: start + 50, pods[2]: start + 500, pods[3]: start + 400}
        idle = dict.fromkeys(pods, 0)
        await world.say(2, pods={**idle, pods[2]: 1}, sessions=sessions)
        await world.advance(60)
        assert await world.draining() == {pods[0], pods[1]}
        await world.drained()
        await world.say(1, pods={pods[2]: 0, pods[3]: 0}, sessions=sessions)
        await world.advance(60)
        assert await world.draining() == {pods[3]}


async def test_a_pod_that_still_works_outlives_those_that_are_empty(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(concurrency=4, **EXACT)
        await world.make_ready()
        await world.say(12)
        await world.make_ready()
        busy, *others = sorted(await world.pods())
        await world.say(3, pods={busy: 1, others[0]: 1, others[1]: 1})
        await world.advance(60)
        draining = await world.draining()
        assert len(draining) == 2
        first, last = sorted(draining)
        for name, rest in ((last, 2), (first, 1)):
            await world.drained(name)
            assert await world.replicas() == rest
            assert name not in await world.pods()


async def test_loading_pods_count_as_coming(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(**EXACT)
        await world.make_ready()
        await world.say(3, held=3)
        for _ in range(5):
            await world.advance(1)
            await world.say(3, held=3)
        assert await world.replicas() == 3


async def test_after_a_restart_the_scale_stays_for_a_window_and_drains_go_on(tmp_path):
    async with world_of(tmp_path) as world:
        pods = await _busy(world, 5)
        await world.say(1, pods={pods[0]: 1})
        await world.advance(50)
        await world.stop(world.scaler)
        world.scaler = world.start_autoscaler()
        await world.advance(59)
        assert await world.draining() == set()
        await world.advance(1)
        draining = await world.draining()
        assert draining == set(pods[1:])
        await world.stop(world.scaler)
        await world.drained(*draining)
        world.scaler = world.start_autoscaler()
        await world.settle()
        assert await world.replicas() == 1
        assert set(await world.pods()) == {pods[0]}


async def test_a_revision_that_never_starts_is_given_up(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(deadline=60, **EXACT)
        await world.advance(89)
        assert await world.draining() == set()
        await world.advance(2)
        await world.drained()
        assert await world.replicas() == 0
        found = await world.autoscaler()
        assert condition_of(found, "Active")["reason"] == "TimedOut"


async def test_the_config_map_is_honoured_live(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(**EXACT)
        await world.make_ready()
        await world.say(0)
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "config-autoscaler", "namespace": "knative-serving"},
            "data": {"stable-window": "6s", "scale-to-zero-grace-period": "4s"},
        }
        await world.client.create(CONFIG_MAPS, config)
        await world.advance(9)
        assert await world.draining() == set()
        await world.advance(1)
        await world.drained()
        assert await world.replicas() == 0
        with pytest.raises(BadRequest, match="min-scale"):
            await world.client.patch(
                CONFIG_MAPS,
                "config-autoscaler",
                {"data": {"min-scale": "many"}},
                namespace="knative-serving",
            )
        await world.settle()
        assert await world.replicas() == 0
        await world.client.patch(
            CONFIG_MAPS,
            "config-autoscaler",
            {"data": {"min-scale": "2"}},
            namespace="knative-serving",
        )
        await world.settle()
        assert await world.replicas() == 2


async def test_an_annotation_that_cannot_be_used_is_told(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(window="soon", **EXACT)
        events = (await world.client.list(EVENTS, namespace="default")).items
        told = [event["message"] for event in events if event["reason"] == "InvalidAnnotation"]
        assert len(told) == 1
        assert "autoscaling.knative.dev/window" in told[0]


async def test_another_class_is_left_alone(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(replicas=3, **{"class": "other.example.com"})
        await world.say(9)
        assert await world.replicas() == 3
        assert not (await world.autoscaler()).get("status")


async def test_kpa_answers_a_held_request_at_once(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(concurrency=10, **{"class": KPA_CLASS})
        await world.make_ready()
        await world.advance(91)
        await world.drained()
        assert await world.replicas() == 0
        await world.say(25, held=25)
        assert await world.replicas() == 4


async def test_no_timer_stands_between_demand_and_the_scale(tmp_path):
    async with world_of(tmp_path) as world:
        await world.revision(min_scale="1", **EXACT)
        await world.make_ready()
        before = world.clock.monotonic()
        for wanted in range(2, 11):
            await world.say(wanted)
            assert await world.replicas() == wanted
        assert world.clock.monotonic() == before
