"""ReplicaSets: keep the wanted number of pods, create them all at once, give up the cheapest."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from tidegate.kube.clock import rfc3339
from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.errors import ApiError, NotFound
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import (
    Key,
    Object,
    conditions_of,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    status_of,
    uid_of,
    with_condition,
)
from tidegate.kube.resources import PODS, REPLICA_SETS
from tidegate.kube.waiting import all_of
from tidegate.workloads.bursts import BURST, attempt
from tidegate.workloads.expectations import Expectations
from tidegate.workloads.ownership import adopters, claim, index_ownership
from tidegate.workloads.pods import (
    available_in,
    is_active,
    is_ready,
    pod_from_template,
    scale_down_rank,
)

logger = logging.getLogger(__name__)


class ReplicaSetController:
    """Reconciles ReplicaSets against the pods they own."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._sets = context.informers.of(REPLICA_SETS)
        self._pods = context.informers.of(PODS)
        self._events = EventRecorder(context.client, "replicaset-controller", clock=context.clock)
        self._expectations = Expectations(context.clock)
        index_ownership(self._pods)
        # Before the controller's own handlers: a reconcile must see the echo counted off.
        self._pods.add_handler(self._expectations.observe)
        self.controller = (
            Controller("replicaset", self.reconcile, clock=context.clock)
            .watch(self._sets)
            .watch(self._pods, owner_key(REPLICA_SETS))
            .watch(self._pods, adopters(self._sets))
        )

    async def reconcile(self, key: Key) -> float | None:
        """Bring the pods of one ReplicaSet to its number and write its status."""
        replica_set = self._sets.get(key.name, key.namespace)
        if replica_set is None:
            return None
        pods = await claim(self._client, self._pods, replica_set)
        active = [pod for pod in pods if is_active(pod)]
        failure: ApiError | None = None
        if not is_deleting(replica_set):
            failure = await self._scale(replica_set, active)
        again = await self._write_status(replica_set, active, failure)
        if failure is not None:
            raise failure
        return again

    async def _scale(self, replica_set: Object, active: Sequence[Object]) -> ApiError | None:
        owner = uid_of(replica_set)
        known = {name_of(pod) for pod in active}
        coming = self._expectations.pending_creates(owner) - known
        going = self._expectations.pending_deletes(owner)
        staying = [pod for pod in active if uid_of(pod) not in going]
        surplus = len(staying) + len(coming) - _wanted(replica_set)
        if surplus < 0:
            return await self._create(replica_set, min(-surplus, BURST))
        if surplus > 0:
            chosen = sorted(staying, key=scale_down_rank)[: min(surplus, BURST)]
            return await self._delete(replica_set, chosen)
        return None

    async def _create(self, replica_set: Object, count: int) -> ApiError | None:
        owner = uid_of(replica_set)

        async def create() -> Object:
            pod = pod_from_template(replica_set)
            with self._expectations.create(owner, name_of(pod)):
                return await self._client.create(PODS, pod)

        created, failure = await attempt(create() for _ in range(count))
        await self._tell(replica_set, "SuccessfulCreate", "Created pod", created)
        if failure is not None:
            await self._events.warning(replica_set, "FailedCreate", f"Error creating: {failure}")
        return failure

    async def _delete(self, replica_set: Object, pods: Sequence[Object]) -> ApiError | None:
        owner = uid_of(replica_set)

        async def delete(pod: Object) -> Object:
            with contextlib.suppress(NotFound), self._expectations.delete(owner, uid_of(pod)):
                await self._client.delete(
                    PODS, name_of(pod), namespace=namespace_of(pod), uid=uid_of(pod)
                )
            return pod

        deleted, failure = await attempt(delete(pod) for pod in pods)
        await self._tell(replica_set, "SuccessfulDelete", "Deleted pod", deleted)
        return failure

    async def _tell(
        self, replica_set: Object, reason: str, what: str, pods: Sequence[Object]
    ) -> None:
        await all_of(
            *(self._events.normal(replica_set, reason, f"{what}: {name_of(pod)}") for pod in pods)
        )

    async def _write_status(
        self, replica_set: Object, active: Sequence[Object], failure: ApiError | None
    ) -> float | None:
        now = self._clock.time()
        min_ready = int(replica_set["spec"].get("minReadySeconds") or 0)
        waits = [available_in(pod, min_ready, now=now) for pod in active]
        template_labels = _template_labels(replica_set)
        status: Object = {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(
                template_labels.items() <= labels_of(pod).items() for pod in active
            ),
            "readyReplicas": sum(is_ready(pod) for pod in active),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "observedGeneration": replica_set["metadata"].get("generation", 0),
            "conditions": _conditions(replica_set, failure, rfc3339(now)),
        }
        current = status_of(replica_set)
        if any(status[field] != current.get(field, []) for field in status):
            await self._client.patch(
                REPLICA_SETS,
                name_of(replica_set),
                {"status": status},
                namespace=namespace_of(replica_set),
                subresource="status",
            )
        return min((wait for wait in waits if wait), default=None)


def _wanted(replica_set: Object) -> int:
    replicas = replica_set["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _template_labels(replica_set: Object) -> dict[str, str]:
    metadata: Object = replica_set["spec"]["template"].get("metadata") or {}
    return dict(metadata.get("labels") or {})


def _conditions(replica_set: Object, failure: ApiError | None, now: str) -> list[Object]:
    others = [c for c in conditions_of(replica_set) if c.get("type") != "ReplicaFailure"]
    if failure is None:
        return others
    if is_condition_true(replica_set, "ReplicaFailure"):
        # Each attempt names another pod in its message: to write that down would be a change of
        # the ReplicaSet, and so the next attempt, without end.
        return conditions_of(replica_set)
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": str(failure),
    }
    return with_condition(conditions_of(replica_set), condition, now=now)
