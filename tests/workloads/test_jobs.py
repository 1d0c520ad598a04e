"""Jobs on a real API in virtual time; the pods are ended by hand."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.workloads.support import running_controllers
from tidegate.kube.clock import rfc3339
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import (
    annotations_of,
    condition_of,
    controller_of,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    uid_of,
)
from tidegate.kube.resources import EVENTS, JOBS, PODS
from tidegate.workloads.jobs.pods import FAILURES, FINALIZER, INDEX


def job(name="pi", policy="Never", **spec):
    container = {"name": "main", "image": "counter:v1"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "template": {"spec": {"restartPolicy": policy, "containers": [container]}},
            **spec,
        },
    }


class Jobs:
    """What a test does with one job."""

    def __init__(self, world):
        self.world = world

    async def create(self, **spec):
        made = await self.world.client.create(JOBS, job(**spec))
        await self.world.settle()
        return made

    async def get(self):
        return await self.world.get(JOBS, "pi")

    async def status(self):
        return (await self.get())["status"]

    async def active(self):
        found = await self.world.pods("job-name=pi")
        return [pod for pod in found if pod["status"]["phase"] in ("Pending", "Running")]

    async def end(self, pod, phase="Succeeded"):
        """What the node does when a container has ended."""
        code = 0 if phase == "Succeeded" else 1
        ended = {"exitCode": code, "finishedAt": rfc3339(self.world.clock.time())}
        container = {
            "name": "main",
            "state": {"terminated": ended},
            "restartCount": 0,
            "image": "counter:v1",
            "imageID": "",
            "ready": False,
        }
        await self.world.client.patch(
            PODS,
            name_of(pod),
            {"status": {"phase": phase, "containerStatuses": [container]}},
            namespace="default",
            subresource="status",
        )
        await self.world.settle()

    async def patch(self, **spec):
        await self.world.client.patch(JOBS, "pi", {"spec": spec}, namespace="default")
        await self.world.settle()

    async def events(self):
        found = (await self.world.client.list(EVENTS, namespace="default")).items
        return {event["reason"] for event in found if event["involvedObject"]["name"] == "pi"}


@asynccontextmanager
async def jobs_of(directory, **options):
    async with running_controllers(directory, **options) as world:
        yield Jobs(world)


async def test_a_job_runs_its_pod_and_is_complete(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        made = await jobs.create()
        (pod,) = await jobs.active()
        assert name_of(pod).startswith("pi-")
        assert controller_of(pod)["uid"] == uid_of(made)
        assert pod["metadata"]["finalizers"] == [FINALIZER]
        assert (await jobs.status())["active"] == 1
        await jobs.world.advance(7)
        await jobs.end(pod)
        found = await jobs.get()
        status = found["status"]
        assert is_condition_true(found, "Complete")
        assert condition_of(found, "SuccessCriteriaMet")["reason"] == "CompletionsReached"
        assert status["succeeded"] == 1
        assert "active" not in status
        assert "failed" not in status
        assert status["uncountedTerminatedPods"] == {}
        assert status["completionTime"] > status["startTime"]
        (kept,) = await jobs.world.pods("job-name=pi")
        assert "finalizers" not in kept["metadata"]
        assert await jobs.events() == {"SuccessfulCreate", "Completed"}
        await jobs.world.advance(4000)
        assert len(await jobs.world.pods()) == 1


async def test_parallel_pods_until_all_completions_are_there(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(completions=7, parallelism=3)
        counted = 0
        while active := await jobs.active():
            assert len(active) == min(3, 7 - counted)
            await jobs.end(active[0])
            counted += 1
            assert (await jobs.status())["succeeded"] == counted
        assert counted == 7
        assert is_condition_true(await jobs.get(), "Complete")


async def test_failures_are_tried_again_with_back_off_until_the_limit(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(backoffLimit=2)
        for wait in (10, 20):
            (pod,) = await jobs.active()
            await jobs.end(pod, "Failed")
            assert await jobs.active() == []
            await jobs.world.advance(wait - 1)
            assert await jobs.active() == []
            await jobs.world.advance(1)
        (pod,) = await jobs.active()
        await jobs.end(pod, "Failed")
        found = await jobs.get()
        failed = condition_of(found, "Failed")
        assert (failed["status"], failed["reason"]) == ("True", "BackoffLimitExceeded")
        assert failed["message"] == "Job has reached the specified backoff limit"
        assert is_condition_true(found, "FailureTarget")
        assert found["status"]["failed"] == 3
        assert "completionTime" not in found["status"]
        assert "BackoffLimitExceeded" in await jobs.events()
        await jobs.world.advance(3600)
        assert await jobs.active() == []


async def test_the_deadline_ends_the_pods_and_the_job(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(activeDeadlineSeconds=60, parallelism=2, completions=2)
        await jobs.world.advance(59)
        assert len(await jobs.active()) == 2
        await jobs.world.advance(2)
        found = await jobs.get()
        assert condition_of(found, "Failed")["reason"] == "DeadlineExceeded"
        assert found["status"]["failed"] == 2
        assert await jobs.world.pods() == []


async def test_a_finished_job_goes_when_its_time_is_up(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(ttlSecondsAfterFinished=100)
        (pod,) = await jobs.active()
        await jobs.world.advance(500)
        await jobs.end(pod)
        await jobs.world.advance(98)
        await jobs.get()
        await jobs.world.advance(3)
        with pytest.raises(NotFound):
            await jobs.get()
        assert await jobs.world.pods() == []


async def test_suspended_and_resumed(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(suspend=True, completions=2, parallelism=2, activeDeadlineSeconds=50)
        assert await jobs.active() == []
        assert "startTime" not in await jobs.status()
        assert is_condition_true(await jobs.get(), "Suspended")
        await jobs.world.advance(1000)
        await jobs.patch(suspend=False)
        active = await jobs.active()
        assert len(active) == 2
        assert condition_of(await jobs.get(), "Suspended")["reason"] == "JobResumed"
        await jobs.end(active[0])
        await jobs.patch(suspend=True)
        assert await jobs.active() == []
        status = await jobs.status()
        assert status["succeeded"] == 1
        assert "failed" not in status
        await jobs.patch(suspend=False)
        (last,) = await jobs.active()
        await jobs.end(last)
        assert is_condition_true(await jobs.get(), "Complete")
        assert {"Suspended", "Resumed", "SuccessfulDelete"} <= await jobs.events()


async def test_every_index_has_its_pod(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(completions=3, parallelism=2, completionMode="Indexed")
        active = {annotations_of(pod)[INDEX]: pod for pod in await jobs.active()}
        assert set(active) == {"0", "1"}
        first = active["0"]
        assert labels_of(first)[INDEX] == "0"
        assert first["spec"]["hostname"] == "pi-0"
        assert name_of(first).startswith("pi-0-")
        (variable,) = first["spec"]["containers"][0]["env"]
        assert variable["name"] == "JOB_COMPLETION_INDEX"
        assert variable["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.annotations['{INDEX}']"
        await jobs.end(active["1"])
        await jobs.end(active["0"], "Failed")
        assert (await jobs.status())["completedIndexes"] == "1"
        await jobs.world.advance(10)
        again = {annotations_of(pod)[INDEX]: pod for pod in await jobs.active()}
        assert set(again) == {"0", "2"}
        for pod in again.values():
            await jobs.end(pod)
        status = await jobs.status()
        assert (status["completedIndexes"], status["succeeded"], status["failed"]) == ("0-2", 3, 1)
        assert is_condition_true(await jobs.get(), "Complete")


async def test_parallelism_can_be_changed(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(completions=10, parallelism=4)
        await jobs.patch(parallelism=1)
        assert len(await jobs.active()) == 1
        await jobs.patch(parallelism=6)
        assert len(await jobs.active()) == 6
        # What the job gave up itself has not failed.
        assert "failed" not in await jobs.status()


async def test_a_pod_deleted_before_it_ended_is_replaced_and_counts_as_failed(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create()
        (pod,) = await jobs.active()
        await jobs.world.client.delete(PODS, name_of(pod), namespace="default")
        await jobs.world.advance(10)
        (other,) = await jobs.active()
        assert name_of(other) != name_of(pod)
        assert (await jobs.status())["failed"] == 1


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
async def test_a_deleted_job_holds_none_of_its_pods(tmp_path, propagation):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(parallelism=2, completions=2)
        await jobs.world.client.delete(JOBS, "pi", namespace="default", propagation=propagation)
        await jobs.world.settle()
        await jobs.world.advance(1)
        with pytest.raises(NotFound):
            await jobs.get()
        left = await jobs.world.pods()
        if propagation == "Orphan":
            assert len(left) == 2
            assert all("finalizers" not in pod["metadata"] for pod in left)
            assert all("ownerReferences" not in pod["metadata"] for pod in left)
        else:
            assert left == []


async def test_ends_are_counted_once_over_a_restart_of_the_controllers(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(completions=6, parallelism=3, backoffLimit=50)
        clock = jobs.world.clock
        for pod, phase in zip(await jobs.active(), ("Succeeded", "Failed"), strict=False):
            await jobs.end(pod, phase)
        status = await jobs.status()
        assert (status["succeeded"], status["failed"]) == (1, 1)
    for _ in range(20):
        async with jobs_of(tmp_path, clock=clock) as jobs:
            await jobs.world.advance(400)
            ending = [asyncio.create_task(jobs.end(pod)) for pod in (await jobs.active())[:2]]
            await asyncio.gather(*ending)
            if is_condition_true(await jobs.get(), "Complete"):
                break
    status = await jobs_status_after(tmp_path, clock)
    assert (status["succeeded"], status["failed"]) == (6, 1)


async def test_a_condition_that_somebody_else_wrote_ends_the_job(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(ttlSecondsAfterFinished=50)
        patch = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}
        await jobs.world.client.patch(JOBS, "pi", patch, namespace="default", subresource="status")
        await jobs.world.advance(51)
        with pytest.raises(NotFound):
            await jobs.get()


async def jobs_status_after(directory, clock):
    async with jobs_of(directory, clock=clock) as jobs:
        return await jobs.status()


async def test_orphans_that_match_are_adopted_and_strangers_released(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        made = await jobs.create(parallelism=2, completions=2)
        orphan, stranger = await jobs.active()
        client = jobs.world.client
        for metadata in ({"ownerReferences": None}, {"ownerReferences": None, "finalizers": None}):
            await client.patch(PODS, name_of(orphan), {"metadata": metadata}, namespace="default")
            await jobs.world.settle()
            adopted = await jobs.world.get(PODS, name_of(orphan))
            assert controller_of(adopted)["uid"] == uid_of(made)
            assert adopted["metadata"]["finalizers"] == [FINALIZER]

        patch = {"metadata": {"labels": None}}
        await client.patch(PODS, name_of(stranger), patch, namespace="default")
        await jobs.world.settle()
        released = await jobs.world.get(PODS, name_of(stranger))
        assert controller_of(released) is None
        assert "finalizers" not in released["metadata"]
        active = await jobs.active()
        assert len(active) == 2
        for pod in active:
            await jobs.end(pod)
        status = await jobs.status()
        assert status["succeeded"] == 2
        assert "failed" not in status


def index_of(pod):
    return int(annotations_of(pod)[INDEX])


async def test_each_index_has_a_limit_of_its_own(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        spec = {"completionMode": "Indexed", "backoffLimitPerIndex": 1}
        made = await jobs.create(completions=3, parallelism=3, **spec)
        assert made["spec"]["backoffLimit"] == 2**31 - 1
        for failures in (0, 1):
            first, *others = sorted(await jobs.active(), key=index_of)
            assert annotations_of(first)[FAILURES] == str(failures)
            await jobs.end(first, "Failed")
            assert len(await jobs.active()) == len(others) == 2
            if failures == 0:
                # It alone knows how often its index has failed.
                assert (
                    FINALIZER
                    in (await jobs.world.get(PODS, name_of(first)))["metadata"]["finalizers"]
                )
                await jobs.world.advance(9)
                assert len(await jobs.active()) == 2
            await jobs.world.advance(2)
        assert (await jobs.status())["failedIndexes"] == "0"
        for pod in await jobs.active():
            await jobs.end(pod)
        found = await jobs.get()
        assert condition_of(found, "Failed")["reason"] == "FailedIndexes"
        assert condition_of(found, "FailureTarget")["message"] == "Job has failed indexes"
        assert found["status"]["completedIndexes"] == "1,2"
        assert (found["status"]["succeeded"], found["status"]["failed"]) == (2, 2)
        assert not any("finalizers" in p["metadata"] for p in await jobs.world.pods())


async def test_too_many_failed_indexes_end_the_job(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        limits = {"backoffLimitPerIndex": 0, "maxFailedIndexes": 1}
        await jobs.create(completions=5, parallelism=3, completionMode="Indexed", **limits)
        for _ in range(2):
            assert "conditions" not in await jobs.status()
            await jobs.end((await jobs.active())[0], "Failed")
        reason = condition_of(await jobs.get(), "FailureTarget")["reason"]
        assert reason == "MaxFailedIndexesExceeded"
        assert not [pod for pod in await jobs.active() if not is_deleting(pod)]


async def test_a_rule_may_give_up_an_index(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        codes = {"operator": "In", "values": [1]}
        rules = [{"action": "FailIndex", "onExitCodes": codes}]
        limits = {"backoffLimitPerIndex": 5, "podFailurePolicy": {"rules": rules}}
        await jobs.create(completions=2, parallelism=1, completionMode="Indexed", **limits)
        await jobs.end((await jobs.active())[0], "Failed")
        assert (await jobs.status())["failedIndexes"] == "0"
        (other,) = await jobs.active()
        assert index_of(other) == 1


async def test_a_job_that_another_manages_is_left_to_it(tmp_path):
    async with jobs_of(tmp_path) as jobs:
        await jobs.create(managedBy="example.com/runner", ttlSecondsAfterFinished=5)
        await jobs.world.advance(30)
        assert await jobs.world.pods() == []
        assert "startTime" not in await jobs.status()
        ended = [{"type": "Complete", "status": "True"}]
        ended[0]["lastTransitionTime"] = rfc3339(jobs.world.clock.time())
        await jobs.world.client.patch(
            JOBS, "pi", {"status": {"conditions": ended}}, namespace="default", subresource="status"
        )
        await jobs.world.advance(6)
        with pytest.raises(NotFound):
            await jobs.get()
