"""Deployments on a real API: creation, scaling, rolling updates, rollback, deadlines."""

from __future__ import annotations

import asyncio
from random import Random

from tests.support.api import AlwaysAllow
from tests.workloads.support import deployment, running_controllers
from tidegate.apiserver.requests import Decision
from tidegate.kube.clock import SystemClock
from tidegate.kube.objects import annotations_of, condition_of, is_deleting, labels_of, name_of
from tidegate.kube.resources import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS, SERVICE_ACCOUNTS


async def _patch(world, patch, name="web", **options):
    await world.client.patch(DEPLOYMENTS, name, patch, namespace="default", **options)
    await world.settle()


def _image(tag):
    containers = [{"name": "app", "image": f"app:{tag}"}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


async def _sizes(world):
    sets = (await world.client.list(REPLICA_SETS, namespace="default")).items
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
        for rs in sets
    }


def _rolling(*, surge: int, unavailable: int):
    update = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"type": "RollingUpdate", "rollingUpdate": update}


async def test_a_deployment_becomes_pods_and_reports_them(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment())
        await world.settle()
        pods = await world.pods()
        assert len(pods) == 3
        (replica_set,) = (await world.client.list(REPLICA_SETS, namespace="default")).items
        digest = labels_of(replica_set)["pod-template-hash"]
        assert name_of(replica_set) == f"web-{digest}"
        assert all(name_of(pod).startswith(f"web-{digest}-") for pod in pods)
        assert all(labels_of(pod)["pod-template-hash"] == digest for pod in pods)
        found = await world.get(DEPLOYMENTS, "web")
        assert found["status"]["unavailableReplicas"] == 3
        assert condition_of(found, "Available")["status"] == "False"
        assert annotations_of(found)["deployment.kubernetes.io/revision"] == "1"

        await world.run_pods()
        found = await world.get(DEPLOYMENTS, "web")
        status = found["status"]
        assert status["readyReplicas"] == status["availableReplicas"] == 3
        assert status["updatedReplicas"] == status["replicas"] == 3
        assert status["observedGeneration"] == found["metadata"]["generation"]
        assert condition_of(found, "Available")["reason"] == "MinimumReplicasAvailable"
        assert condition_of(found, "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_scaling_goes_up_and_down_through_the_subresource(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        await world.settle()
        await world.run_pods()
        await _patch(world, {"spec": {"replicas": 5}}, subresource="scale")
        assert len(await world.pods()) == 5
        await world.run_pods()
        await _patch(world, {"spec": {"replicas": 0}}, subresource="scale")
        assert await world.pods() == []
        found = await world.get(DEPLOYMENTS, "web")
        assert condition_of(found, "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_a_deleted_pod_is_replaced(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=2))
        await world.settle()
        before = await world.names(PODS)
        await world.client.delete(PODS, min(before), namespace="default")
        await world.settle()
        after = await world.names(PODS)
        assert len(after) == 2
        assert len(before & after) == 1


async def test_a_rolling_update_keeps_its_bounds_and_ends(tmp_path):
    async with running_controllers(tmp_path) as world:
        rolling = _rolling(surge=1, unavailable=0)
        await world.client.create(DEPLOYMENTS, deployment(replicas=3, strategy=rolling))
        await world.settle()
        await world.run_pods()
        await _patch(world, _image(2))
        assert await _sizes(world) == {"app:1": 3, "app:2": 1}
        for step in range(3):
            pods = [pod for pod in await world.pods() if not is_deleting(pod)]
            assert len(pods) == 4
            assert condition_of(await world.get(DEPLOYMENTS, "web"), "Available")["status"] == (
                "True"
            )
            await world.run_pods()
            assert (await _sizes(world))["app:1"] == 2 - step
        await world.run_pods()
        assert await _sizes(world) == {"app:1": 0, "app:2": 3}
        found = await world.get(DEPLOYMENTS, "web")
        assert found["status"]["updatedReplicas"] == found["status"]["availableReplicas"] == 3
        assert annotations_of(found)["deployment.kubernetes.io/revision"] == "2"
        assert condition_of(found, "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_a_rollback_reuses_the_old_replica_set_with_a_new_revision(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        await world.settle()
        await world.run_pods()
        for tag in (2, 1):
            await _patch(world, _image(tag))
            for _ in range(3):
                await world.run_pods()
        assert await _sizes(world) == {"app:1": 1, "app:2": 0}
        found = await world.get(DEPLOYMENTS, "web")
        assert annotations_of(found)["deployment.kubernetes.io/revision"] == "3"
        sets = (await world.client.list(REPLICA_SETS, namespace="default")).items
        history = {
            annotations_of(rs).get("deployment.kubernetes.io/revision-history") for rs in sets
        }
        assert history == {None, "1"}


async def test_recreate_waits_for_the_end_of_the_old_pods(tmp_path):
    async with running_controllers(tmp_path) as world:
        wanted = deployment(strategy={"type": "Recreate"})
        wanted["spec"]["template"]["spec"]["nodeName"] = "tidegate"
        await world.client.create(DEPLOYMENTS, wanted)
        await world.settle()
        await world.run_pods()
        await _patch(world, _image(2))
        ending = await world.pods()
        assert len(ending) == 3
        assert all(is_deleting(pod) for pod in ending)
        assert await _sizes(world) == {"app:1": 0}
        for pod in ending:
            await world.client.delete(
                PODS, name_of(pod), namespace="default", grace_period_seconds=0
            )
        await world.settle()
        assert await _sizes(world) == {"app:1": 0, "app:2": 3}
        assert len(await world.pods()) == 3


async def test_history_is_kept_up_to_its_limit(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1, revisionHistoryLimit=2))
        await world.settle()
        await world.run_pods()
        for tag in range(2, 7):
            await _patch(world, _image(tag))
            for _ in range(3):
                await world.run_pods()
        assert set(await _sizes(world)) == {"app:4", "app:5", "app:6"}


async def test_a_rollout_that_does_not_progress_misses_its_deadline(tmp_path):
    async with running_controllers(tmp_path) as world:
        spec = deployment(replicas=1, progressDeadlineSeconds=30)
        await world.client.create(DEPLOYMENTS, spec)
        await world.settle()
        await world.advance(29)
        found = await world.get(DEPLOYMENTS, "web")
        assert condition_of(found, "Progressing")["status"] == "True"
        await world.advance(3)
        found = await world.get(DEPLOYMENTS, "web")
        assert condition_of(found, "Progressing")["reason"] == "ProgressDeadlineExceeded"
        await world.run_pods()
        found = await world.get(DEPLOYMENTS, "web")
        assert condition_of(found, "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_a_paused_deployment_scales_but_does_not_roll(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        await world.settle()
        await world.run_pods()
        await _patch(world, {"spec": {"paused": True}})
        await _patch(world, _image(2))
        await _patch(world, {"spec": {"replicas": 2}})
        assert await _sizes(world) == {"app:1": 2}
        found = await world.get(DEPLOYMENTS, "web")
        assert condition_of(found, "Progressing")["reason"] == "DeploymentPaused"
        await _patch(world, {"spec": {"paused": False}})
        assert set(await _sizes(world)) == {"app:1", "app:2"}


async def test_scaling_in_a_rollout_is_shared_by_both_replica_sets(tmp_path):
    async with running_controllers(tmp_path) as world:
        rolling = _rolling(surge=2, unavailable=0)
        await world.client.create(DEPLOYMENTS, deployment(replicas=8, strategy=rolling))
        await world.settle()
        await world.run_pods()
        await _patch(world, _image(2))
        assert await _sizes(world) == {"app:1": 8, "app:2": 2}
        await _patch(world, {"spec": {"replicas": 16}})
        assert await _sizes(world) == {"app:1": 14, "app:2": 4}


async def test_orphans_that_match_are_adopted_and_strangers_released(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        await world.settle()
        (pod,) = await world.pods()
        relabel = {"metadata": {"labels": {"app": "debug"}}}
        await world.client.patch(PODS, name_of(pod), relabel, namespace="default")
        await world.settle()
        released = await world.get(PODS, name_of(pod))
        assert not released["metadata"].get("ownerReferences")
        assert len(await world.pods("app=web")) == 1
        back = {"metadata": {"labels": {"app": "web"}}}
        await world.client.patch(PODS, name_of(pod), back, namespace="default")
        await world.settle()
        assert len(await world.pods("app=web")) == 1


class NoPods(AlwaysAllow):
    """Refuses new pods while `refuses`."""

    refuses = True

    def authorize(self, user, verb, resource, *rest, **named):
        if self.refuses and (verb, resource) == ("create", PODS):
            return Decision(False, "no more pods")
        return super().authorize(user, verb, resource, *rest, **named)


async def test_pods_that_cannot_be_made_are_told_and_tried_again(tmp_path):
    authorizer = NoPods()
    async with running_controllers(tmp_path, authorizer=authorizer) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=2))
        await world.settle()
        failure = condition_of(await world.get(DEPLOYMENTS, "web"), "ReplicaFailure")
        assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
        events = (await world.client.list(EVENTS, namespace="default")).items
        assert "FailedCreate" in {event["reason"] for event in events}
        authorizer.refuses = False
        await world.advance(120)
        assert len(await world.pods()) == 2
        assert condition_of(await world.get(DEPLOYMENTS, "web"), "ReplicaFailure") is None


async def test_a_restart_in_a_rollout_goes_on_where_it_was(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=3))
        await world.settle()
        await world.run_pods()
        await _patch(world, _image(2))
        before, sizes = await world.names(PODS), await _sizes(world)
    async with running_controllers(tmp_path) as world:
        assert await world.names(PODS) == before
        assert await _sizes(world) == sizes
        for _ in range(4):
            await world.run_pods()
        assert await _sizes(world) == {"app:1": 0, "app:2": 3}


async def test_twenty_pods_of_one_scale_wait_for_no_timer(tmp_path):
    async with running_controllers(tmp_path) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        await world.api.eventually(_has_pods(world, 1))
        begun = world.clock.monotonic()
        await world.client.patch(
            DEPLOYMENTS, "web", {"spec": {"replicas": 20}}, namespace="default", subresource="scale"
        )
        await world.api.eventually(_has_pods(world, 20))
        assert world.clock.monotonic() == begun
        await world.settle()
        assert len(await world.pods()) == 20


async def test_a_storm_of_scales_never_makes_a_pod_too_many(tmp_path):
    async with running_controllers(tmp_path, SystemClock()) as world:
        await world.client.create(DEPLOYMENTS, deployment(replicas=1))
        created = set()
        pods = world.api.client()
        listing = await pods.list(PODS, namespace="default")
        async with pods.watch(PODS, resource_version=listing.resource_version) as events:

            async def count():
                async for event in events:
                    created.add(name_of(event.object))

            counter = asyncio.create_task(count())
            random = Random(7)
            ups, size = 1, 1
            for _ in range(40):
                wanted = random.randint(0, 12)
                ups += max(0, wanted - size)
                size = wanted
                patch = {"spec": {"replicas": wanted}}
                await world.client.patch(
                    DEPLOYMENTS, "web", patch, namespace="default", subresource="scale"
                )
                for _ in range(random.randint(0, 60)):
                    await asyncio.sleep(0)
            await world.settle()
            await world.api.eventually(_has_pods(world, size))
            await world.settle()
            counter.cancel()
        assert len(await world.pods()) == size
        assert len(created) <= ups


def _has_pods(world, count):
    async def check():
        return len(await world.pods()) >= count

    return check


async def test_pods_of_an_account_that_is_not_there_are_told_of_and_come_when_it_is(tmp_path):
    async with running_controllers(tmp_path) as world:
        wanted = deployment(replicas=1)
        wanted["spec"]["template"]["spec"]["serviceAccountName"] = "robot"
        await world.client.create(DEPLOYMENTS, wanted)
        await world.settle()
        assert not await world.pods()
        failure = condition_of(await world.get(DEPLOYMENTS, "web"), "ReplicaFailure")
        assert failure is not None
        assert 'serviceaccount "robot" not found' in failure["message"]
        account = {"metadata": {"name": "robot", "namespace": "default"}}
        await world.client.create(SERVICE_ACCOUNTS, account)
        await world.advance(60)
        assert len(await world.pods()) == 1
        assert condition_of(await world.get(DEPLOYMENTS, "web"), "ReplicaFailure") is None
