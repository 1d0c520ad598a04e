"""Deployments: one ReplicaSet per template, and the move of replicas from the old to the new."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.errors import AlreadyExists, NotFound
from tidegate.kube.events import EventRecorder
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    controller_of,
    is_controlled_by,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    status_of,
    thaw,
    uid_of,
)
from tidegate.kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from tidegate.kube.waiting import all_of
from tidegate.workloads import pods
from tidegate.workloads.deployments import revisions, rollout
from tidegate.workloads.deployments.rollout import Strategy
from tidegate.workloads.deployments.status import Progress, deadline_in, status_for
from tidegate.workloads.ownership import claim, controlled, index_ownership, matching_owners

logger = logging.getLogger(__name__)


@dataclass
class _Sync:
    """One reconcile's view, kept up to date with what it writes."""

    deployment: Object
    strategy: Strategy
    new: Object | None
    old: list[Object]
    created: bool = False

    @property
    def all(self) -> list[Object]:
        return [*self.old, *([self.new] if self.new is not None else [])]


class DeploymentController:
    """Reconciles Deployments against the ReplicaSets they own."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._deployments = context.informers.of(DEPLOYMENTS)
        self._sets = context.informers.of(REPLICA_SETS)
        self._pods = context.informers.of(PODS)
        self._events = EventRecorder(context.client, "deployment-controller", clock=context.clock)
        index_ownership(self._sets)
        index_ownership(self._pods)
        self.controller = (
            Controller("deployment", self.reconcile, clock=context.clock)
            .watch(self._deployments)
            .watch(self._sets, owner_key(DEPLOYMENTS))
            .watch(self._sets, self._adopters)
            .watch(self._pods, self._waiting_for_end)
        )

    def _adopters(self, replica_set: Object) -> Iterable[Key]:
        if controller_of(replica_set) is not None or is_deleting(replica_set):
            return []
        return [key_of(owner) for owner in matching_owners(self._deployments, replica_set)]

    def _waiting_for_end(self, pod: Object) -> Iterable[Key]:
        """A Recreate waits for the end of old pods, which no ReplicaSet status shows."""
        reference = controller_of(pod)
        if reference is None or reference["kind"] != REPLICA_SETS.kind:
            return []
        replica_set = self._sets.get(reference["name"], namespace_of(pod))
        owner = controller_of(replica_set) if replica_set is not None else None
        if owner is None:
            return []
        deployment = self._deployments.get(owner["name"], namespace_of(pod))
        if deployment is None or not rollout.is_recreate(deployment):
            return []
        return [key_of(deployment)]

    async def reconcile(self, key: Key) -> float | None:
        """Move one Deployment a step on and write its status."""
        deployment = self._deployments.get(key.name, key.namespace)
        if deployment is None:
            return None
        sets = await claim(self._client, self._sets, deployment)
        new = revisions.find_new(deployment, sets)
        old = [rs for rs in sets if new is None or uid_of(rs) != uid_of(new)]
        sync = _Sync(deployment, rollout.strategy_of(deployment), new, old)
        if not is_deleting(deployment):
            await self._advance(sync)
        return await self._write_status(sync)

    async def _advance(self, sync: _Sync) -> None:
        if sync.deployment["spec"].get("paused"):
            await self._scale_in_proportion(sync)
        elif sync.new is not None and self._is_resized(sync):
            await self._adopt_revision(sync)
            await self._scale_in_proportion(sync)
        elif rollout.is_recreate(sync.deployment):
            await self._recreate(sync)
        else:
            await self._roll(sync)
        await self._trim_history(sync)

    @staticmethod
    def _is_resized(sync: _Sync) -> bool:
        """Whether `spec.replicas` changed since the ReplicaSets were last sized."""
        wanted = str(sync.strategy.replicas)
        return any(
            annotations_of(rs).get(revisions.DESIRED_REPLICAS, wanted) != wanted
            for rs in sync.all
            if revisions.replicas_of(rs).wanted > 0
        )

    async def _roll(self, sync: _Sync) -> None:
        new = await self._ensure_new(sync)
        old = [revisions.replicas_of(rs) for rs in sync.old]
        size = rollout.grow_new(sync.strategy, revisions.replicas_of(new), old)
        await self._resize(sync, {name_of(new): size})
        if sync.new is None:
            return
        shrunk = rollout.shrink_old(sync.strategy, revisions.replicas_of(sync.new), old)
        await self._resize(sync, shrunk)

    async def _recreate(self, sync: _Sync) -> None:
        running = {name_of(rs): 0 for rs in sync.old if revisions.replicas_of(rs).wanted > 0}
        if running:
            await self._resize(sync, running)
            return
        if any(not pods.is_finished(pod) for rs in sync.old for pod in controlled(self._pods, rs)):
            return
        new = await self._ensure_new(sync)
        await self._resize(sync, {name_of(new): sync.strategy.replicas})

    async def _scale_in_proportion(self, sync: _Sync) -> None:
        active = [rs for rs in sync.all if revisions.replicas_of(rs).wanted > 0]
        if len(active) <= 1:
            only = active[0] if active else sync.new
            if only is not None:
                await self._resize(sync, {name_of(only): sync.strategy.replicas})
            return
        if sync.new is not None and self._is_saturated(sync, sync.new):
            await self._resize(sync, {name_of(rs): 0 for rs in active if rs is not sync.new})
            return
        if rollout.is_recreate(sync.deployment):
            return
        counts = [revisions.replicas_of(rs) for rs in active]
        totals = {name_of(rs): _max_total(rs) for rs in active}
        await self._resize(sync, rollout.share_proportionally(sync.strategy, counts, totals))

    @staticmethod
    def _is_saturated(sync: _Sync, new: Object) -> bool:
        counts = revisions.replicas_of(new)
        return counts.wanted == counts.available == sync.strategy.replicas

    async def _ensure_new(self, sync: _Sync) -> Object:
        """The ReplicaSet of the present template, created or brought to the right revision."""
        if sync.new is None:
            sync.new = await self._create_new(sync)
            sync.created = True
        else:
            await self._adopt_revision(sync)
        await self._annotate_deployment(sync)
        return sync.new

    async def _create_new(self, sync: _Sync) -> Object:
        empty = rollout.Replicas("", 0, 0)
        old = [revisions.replicas_of(rs) for rs in sync.old]
        size = rollout.grow_new(sync.strategy, empty, old)
        wanted = revisions.build_new(
            sync.deployment,
            replicas=sync.strategy.replicas if rollout.is_recreate(sync.deployment) else size,
            revision=revisions.next_revision(sync.old),
            strategy=sync.strategy,
        )
        try:
            created = await self._client.create(REPLICA_SETS, wanted)
        except AlreadyExists:
            return await self._settle_collision(sync, wanted)
        await self._tell_scaled(sync.deployment, name_of(created), 0, wanted["spec"]["replicas"])
        return created

    async def _settle_collision(self, sync: _Sync, wanted: Object) -> Object:
        """The name is taken: by our own earlier create, or by another template's hash."""
        deployment = sync.deployment
        taken = await self._client.get(
            REPLICA_SETS, name_of(wanted), namespace=namespace_of(wanted)
        )
        if is_controlled_by(taken, deployment) and revisions.same_template(deployment, taken):
            return taken
        collisions = int(status_of(deployment).get("collisionCount") or 0) + 1
        await self._client.patch(
            DEPLOYMENTS,
            name_of(deployment),
            {"status": {"collisionCount": collisions}},
            namespace=namespace_of(deployment),
            subresource="status",
        )
        raise AlreadyExists(f"replicaset {name_of(wanted)!r} is not of this deployment's template")

    async def _adopt_revision(self, sync: _Sync) -> None:
        """Give the new ReplicaSet the highest revision and the Deployment's annotations."""
        if sync.new is None:
            return
        new = sync.new
        revision = max(revisions.next_revision(sync.old), revisions.revision_of(new))
        wanted = {
            **revisions.inherited_annotations(sync.deployment),
            revisions.REVISION: str(revision),
        }
        known = annotations_of(new)
        if not wanted.items() <= known.items():
            copy = thaw(new)
            annotations = copy["metadata"].setdefault("annotations", {})
            previous = known.get(revisions.REVISION)
            if previous is not None and previous != wanted[revisions.REVISION]:
                history = (known.get(revisions.REVISION_HISTORY), previous)
                annotations[revisions.REVISION_HISTORY] = ",".join(filter(None, history))
            annotations.update(wanted)
            sync.new = await self._client.update(REPLICA_SETS, copy)

    async def _annotate_deployment(self, sync: _Sync) -> None:
        if sync.new is None:
            return
        revision = annotations_of(sync.new).get(revisions.REVISION, "")
        if annotations_of(sync.deployment).get(revisions.REVISION) == revision:
            return
        patch = {"metadata": {"annotations": {revisions.REVISION: revision}}}
        sync.deployment = await self._client.patch(
            DEPLOYMENTS,
            name_of(sync.deployment),
            patch,
            namespace=namespace_of(sync.deployment),
        )

    async def _resize(self, sync: _Sync, sizes: Mapping[str, int]) -> None:
        """Give the named ReplicaSets their sizes, all at once, and note the Deployment's."""

        async def update(replica_set: Object) -> Object:
            size = sizes[name_of(replica_set)]
            notes = revisions.size_annotations(sync.strategy)
            before = revisions.replicas_of(replica_set).wanted
            if before == size and notes.items() <= annotations_of(replica_set).items():
                return replica_set
            copy = thaw(replica_set)
            copy["spec"]["replicas"] = size
            copy["metadata"].setdefault("annotations", {}).update(notes)
            # The resourceVersion in the copy refuses a size worked out from a stale cache.
            updated = await self._client.update(REPLICA_SETS, copy)
            if before != size:
                await self._tell_scaled(sync.deployment, name_of(updated), before, size)
            return updated

        chosen = [rs for rs in sync.all if name_of(rs) in sizes]
        updated = await all_of(*(update(rs) for rs in chosen))
        by_uid = {uid_of(rs): rs for rs in updated}
        sync.old = [by_uid.get(uid_of(rs), rs) for rs in sync.old]
        if sync.new is not None:
            sync.new = by_uid.get(uid_of(sync.new), sync.new)

    async def _tell_scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        suffix = f" from {before}" if before or after < before else ""
        await self._events.normal(
            deployment,
            "ScalingReplicaSet",
            f"Scaled {direction} replica set {name}{suffix} to {after}",
        )

    async def _trim_history(self, sync: _Sync) -> None:
        for replica_set in revisions.surplus_history(sync.deployment, sync.old):
            try:
                await self._client.delete(
                    REPLICA_SETS,
                    name_of(replica_set),
                    namespace=namespace_of(replica_set),
                    uid=uid_of(replica_set),
                )
            except NotFound:
                logger.debug("replica set %s was gone already", name_of(replica_set))

    async def _write_status(self, sync: _Sync) -> float | None:
        progress = Progress(
            new=sync.new,
            old=sync.old,
            created=sync.created,
            paused=bool(sync.deployment["spec"].get("paused")),
        )
        now = self._clock.time()
        status = status_for(sync.deployment, sync.strategy, progress, now=now)
        if status != status_of(sync.deployment):
            await self._client.patch(
                DEPLOYMENTS,
                name_of(sync.deployment),
                {"status": status},
                namespace=namespace_of(sync.deployment),
                subresource="status",
            )
        return deadline_in(sync.deployment, status, now=now)


def _max_total(replica_set: Object) -> int:
    try:
        return int(annotations_of(replica_set).get(revisions.MAX_REPLICAS, "0"))
    except ValueError:
        return 0
