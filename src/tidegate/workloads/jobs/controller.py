"""Jobs: pods until enough have succeeded, each that has ended counted once, and then the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.errors import ApiError, NotFound
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import (
    Key,
    Object,
    conditions_of,
    controller_of,
    is_condition_true,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    resource_version_of,
    status_of,
    thaw,
    uid_of,
)
from tidegate.kube.resources import JOBS, PODS
from tidegate.kube.waiting import all_of
from tidegate.workloads.bursts import BURST, attempt
from tidegate.workloads.expectations import Expectations
from tidegate.workloads.jobs import policy
from tidegate.workloads.jobs.index_failures import IndexFailure
from tidegate.workloads.jobs.pods import FINALIZER, finalizers_of, is_tracked, job_pod, new_pod
from tidegate.workloads.jobs.policy import Plan
from tidegate.workloads.jobs.status import (
    COMPLETE,
    FAILED,
    SUSPENDED,
    counts_of,
    finished_at,
    job_spec,
    status_for,
)
from tidegate.workloads.ownership import (
    adopters,
    claim,
    controlled,
    index_ownership,
    matching_owners,
    orphans,
)
from tidegate.workloads.pods import is_active

_OURSELVES = "kubernetes.io/job-controller"


class JobController:
    """Reconciles Jobs against the pods they own.

    Attributes:
        controller: of the jobs.
        orphans: frees pods whose job is gone of the job's finalizer.
    """

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._jobs = context.informers.of(JOBS)
        self._pods = context.informers.of(PODS)
        self._events = EventRecorder(context.client, "job-controller", clock=context.clock)
        self._expectations = Expectations(context.clock)
        self._releases = Expectations(context.clock)
        self._coming: dict[str, dict[str, int | None]] = {}
        self._written: dict[str, Object] = {}
        index_ownership(self._pods)
        # Before the controller's own handlers: a reconcile must see the echo counted off.
        self._pods.add_handler(self._observe)
        self._jobs.add_handler(self._forget)
        self.controller = (
            Controller("job", self.reconcile, clock=context.clock)
            .watch(self._jobs)
            .watch(self._pods, owner_key(JOBS))
            .watch(self._pods, adopters(self._jobs))
        )
        self.orphans = (
            Controller("job-orphans", self.free, clock=context.clock)
            .watch(self._pods, self._lost)
            .watch(self._jobs, self._pods_of_gone)
        )

    def _observe(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        if pod is not None and (new is None or not is_tracked(new)):
            self._releases.deleted(namespace_of(pod), uid_of(pod))
        self._expectations.observe(old, new)

    def _forget(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or uid_of(new) != uid_of(old)):
            self._expectations.forget(uid_of(old))
            self._coming.pop(uid_of(old), None)
            self._written.pop(uid_of(old), None)

    async def reconcile(self, key: Key) -> float | None:
        """Move one Job a step on."""
        cached = self._jobs.get(key.name, key.namespace)
        if cached is None:
            return None
        job = self._newest(cached)
        if job["spec"].get("managedBy", _OURSELVES) != _OURSELVES:
            ended = finished_at(job)
            return None if ended is None else await self._expire(job, ended)
        pods = await claim(self._client, self._pods, job)
        over = finished_at(job)
        if over is not None:
            await self._release(pod for pod in pods if is_tracked(pod))
            return await self._expire(job, over)
        return await self._advance(job, pods)

    async def _advance(self, job: Object, pods: Sequence[Object]) -> float | None:
        pods = await all_of(*(self._tracked(job, pod) for pod in pods))
        now = self._clock.time()
        patient = job["spec"].get("podReplacementPolicy") == "Failed"
        views = [job_pod(pod, replaced_when_ended=patient) for pod in pods]
        plan = policy.plan(
            job_spec(job),
            counts_of(job),
            views,
            now,
            coming=self._pending(job),
            manages=not is_deleting(job),
        )
        by_uid = {uid_of(pod): pod for pod in pods}
        await self._give_up(job, [by_uid[uid] for uid in plan.give_up])
        await self._delete(job, [by_uid[uid] for uid in plan.delete])
        failure = await self._create(job, plan)
        known = {name_of(pod) for pod in pods}
        created = len(self._expectations.pending_creates(uid_of(job)) - known)
        await self._write(job, status_for(job, plan, views, created=created, now=now))
        await self._release(by_uid[uid] for uid in plan.release)
        if failure is not None:
            raise failure
        return plan.look_again

    def _newest(self, cached: Object) -> Object:
        """The job with the status written last, which the cache may not show yet.

        A pod can be seen without its finalizer before the status that names it: by the older
        status it would count for nothing.
        """
        written = self._written.get(uid_of(cached))
        if written is None:
            return cached
        if int(resource_version_of(cached)) >= int(resource_version_of(written)):
            del self._written[uid_of(cached)]
            return cached
        return written

    def _pending(self, job: Object) -> list[int | None]:
        """The indexes of pods created and not seen yet."""
        names = self._expectations.pending_creates(uid_of(job))
        known = self._coming.get(uid_of(job), {})
        for name in known.keys() - names:
            del known[name]
        return [known.get(name) for name in names]

    async def _create(self, job: Object, plan: Plan) -> ApiError | None:
        indexes: list[int | None] = [*plan.create_indexes, *[None] * plan.create][:BURST]
        last = {None: None, **plan.index_failures}
        created, failure = await attempt(
            self._create_one(job, index, last.get(index)) for index in indexes
        )
        for pod in created:
            await self._events.normal(job, "SuccessfulCreate", f"Created pod: {name_of(pod)}")
        if failure is not None:
            await self._events.warning(job, "FailedCreate", f"Error creating: {failure}")
        return failure

    async def _create_one(
        self, job: Object, index: int | None, last: IndexFailure | None
    ) -> Object:
        pod, owner = new_pod(job, index, last), uid_of(job)
        self._coming.setdefault(owner, {})[name_of(pod)] = index
        with self._expectations.create(owner, name_of(pod)):
            return await self._client.create(PODS, pod)

    async def _tracked(self, job: Object, pod: Object) -> Object:
        """The pod with the finalizer, which one that was adopted may lack."""
        going = uid_of(pod) in self._expectations.pending_deletes(uid_of(job))
        if is_tracked(pod) or going or not is_active(pod):
            return pod
        metadata = {
            "finalizers": [*finalizers_of(pod), FINALIZER],
            "resourceVersion": resource_version_of(pod),
        }
        return await self._client.patch(
            PODS, name_of(pod), {"metadata": metadata}, namespace=namespace_of(pod)
        )

    async def _give_up(self, job: Object, pods: Sequence[Object]) -> None:
        """End pods that are not needed; without the finalizer they count neither way."""
        await self._release(pods)
        await self._delete(job, pods)

    async def _delete(self, job: Object, pods: Sequence[Object]) -> None:
        owner = uid_of(job)
        going = self._expectations.pending_deletes(owner)

        async def delete(pod: Object) -> None:
            try:
                with self._expectations.delete(owner, uid_of(pod)):
                    await self._client.delete(
                        PODS, name_of(pod), namespace=namespace_of(pod), uid=uid_of(pod)
                    )
            except NotFound:
                return
            await self._events.normal(job, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

        await all_of(*(delete(pod) for pod in pods if uid_of(pod) not in going))

    async def _release(self, pods: Iterable[Object]) -> None:
        await all_of(*(self._release_one(pod) for pod in pods))

    async def _release_one(self, pod: Object) -> None:
        space, uid = namespace_of(pod), uid_of(pod)
        if not is_tracked(pod) or uid in self._releases.pending_deletes(space):
            return
        metadata = {
            "finalizers": [name for name in finalizers_of(pod) if name != FINALIZER],
            "resourceVersion": resource_version_of(pod),
        }
        with contextlib.suppress(NotFound), self._releases.delete(space, uid):
            await self._client.patch(PODS, name_of(pod), {"metadata": metadata}, namespace=space)

    async def _write(self, job: Object, status: Object) -> None:
        if status == status_of(job):
            return
        # The resourceVersion in the copy refuses counts worked out from a stale job.
        after = await self._client.update(
            JOBS, {**thaw(job), "status": status}, subresource="status"
        )
        self._written[uid_of(job)] = after
        await self._tell(job, after)

    async def _tell(self, before: Object, after: Object) -> None:
        def became(kind: str) -> bool:
            return is_condition_true(after, kind) and not is_condition_true(before, kind)

        if became(COMPLETE):
            await self._events.normal(after, "Completed", "Job completed")
        if became(FAILED):
            condition = next(c for c in conditions_of(after) if c["type"] == FAILED)
            await self._events.warning(after, condition["reason"], condition["message"])
        if became(SUSPENDED):
            await self._events.normal(after, "Suspended", "Job suspended")
        elif is_condition_true(before, SUSPENDED) and not is_condition_true(after, SUSPENDED):
            await self._events.normal(after, "Resumed", "Job resumed")

    async def _expire(self, job: Object, over: float) -> float | None:
        """Delete a finished job when its time is up."""
        lifetime = job["spec"].get("ttlSecondsAfterFinished")
        if lifetime is None or is_deleting(job):
            return None
        left = over + float(lifetime) - self._clock.time()
        if left > 0:
            return left
        await self._client.delete(
            JOBS,
            name_of(job),
            namespace=namespace_of(job),
            propagation="Foreground",
            uid=uid_of(job),
            resource_version=resource_version_of(job),
        )
        return None

    # Orphans

    def _lost(self, pod: Object) -> Iterable[Key]:
        return (key_of(pod),) if self._is_lost(pod) else ()

    def _pods_of_gone(self, job: Object) -> Iterable[Key]:
        if self._jobs.get(name_of(job), namespace_of(job)) is not None:
            return ()
        pods = (*controlled(self._pods, job), *orphans(self._pods, namespace_of(job)))
        return [key_of(pod) for pod in pods if is_tracked(pod)]

    def _is_lost(self, pod: Object) -> bool:
        """Whether a pod has the finalizer and no job to count it."""
        if not is_tracked(pod):
            return False
        reference = controller_of(pod)
        if reference is None:
            # One that a job is about to adopt stays as it is.
            owners = matching_owners(self._jobs, pod)
            return is_deleting(pod) or all(is_deleting(job) for job in owners)
        if reference["kind"] != JOBS.kind:
            return True
        job = self._jobs.get(reference["name"], namespace_of(pod))
        return job is None or uid_of(job) != reference["uid"]

    async def free(self, key: Key) -> None:
        """Take the finalizer off one pod whose job is gone."""
        pod = self._pods.get(key.name, key.namespace)
        if pod is not None and self._is_lost(pod):
            await self._release_one(pod)
