"""Deletes Revisions that nobody needs any more, as `config-gc` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.apis import serving
from tidegate.apis.config_sections import GarbageCollection
from tidegate.apis.fields import part
from tidegate.kube.clock import parse_rfc3339
from tidegate.kube.controller import Context, Controller, owner_key
from tidegate.kube.objects import (
    Key,
    Object,
    annotations_of,
    is_controlled_by,
    is_deleting,
    labels_of,
    name_of,
    resource_version_of,
    uid_of,
)
from tidegate.serving.config import ConfigStore
from tidegate.serving.configuration import configuration_index, index_key


@dataclass(frozen=True)
class Plan:
    """Which Revisions to delete, and when (seconds since the epoch) to look again."""

    delete: tuple[Object, ...]
    look_again: float | None = None


def plan(
    revisions: Sequence[Object], latest_ready: str, settings: GarbageCollection, *, now: float
) -> Plan:
    """What to collect among the Revisions of one Configuration.

    Kept are the latest ready one, those with traffic or hope of it, and those marked `no-gc`.
    Of the others the stale ones go while more than the minimum remain, and then the oldest
    while more than the maximum remain.
    """
    idle = [item for item in revisions if not _is_needed(item, latest_ready)]
    idle.sort(key=_last_active)
    delete: list[Object] = []
    waiting: list[float] = []
    for revision in idle:
        if len(idle) - len(delete) <= settings.min_non_active_revisions:
            break
        stale_at = _stale_at(revision, settings)
        if stale_at is not None and stale_at <= now:
            delete.append(revision)
        elif stale_at is not None:
            waiting.append(stale_at)
    limit = settings.max_non_active_revisions
    if limit is not None:
        kept = [item for item in idle if item not in delete]
        delete.extend(kept[: max(0, len(kept) - limit)])
    return Plan(tuple(delete), min(waiting, default=None))


class RevisionCollector:
    """Collects the Revisions of Configurations."""

    def __init__(self, context: Context, config: ConfigStore) -> None:
        self._client = context.client
        self._clock = context.clock
        self._config = config
        self._configurations = context.informers.of(serving.CONFIGURATIONS)
        self._revisions = context.informers.of(serving.REVISIONS)
        self._revisions.add_index("configuration", configuration_index)

    def controller(self) -> Controller:
        """Runs the collector on every change of a Configuration or its Revisions, and in time."""
        controller = Controller("revision-gc", self.reconcile, clock=self._clock, workers=1)
        controller.watch(self._configurations)
        controller.watch(self._revisions, owner_key(serving.CONFIGURATIONS))
        self._config.requeue(controller, self._configurations)
        return controller

    async def reconcile(self, key: Key) -> float | None:
        configuration = self._configurations.get(key.name, key.namespace)
        if configuration is None or is_deleting(configuration):
            return None
        revisions = [
            item
            for item in self._revisions.by_index("configuration", index_key(configuration))
            if is_controlled_by(item, configuration) and not is_deleting(item)
        ]
        latest = str(part(configuration, "status").get("latestReadyRevisionName") or "")
        now = self._clock.time()
        found = plan(revisions, latest, self._config.current.gc, now=now)
        for revision in found.delete:
            # The preconditions keep a Revision that gets traffic at this very moment.
            await self._client.delete(
                serving.REVISIONS,
                name_of(revision),
                namespace=key.namespace,
                uid=uid_of(revision),
                resource_version=resource_version_of(revision),
            )
        return None if found.look_again is None else max(found.look_again - now, 1.0)


def _is_needed(revision: Object, latest_ready: str) -> bool:
    return (
        name_of(revision) == latest_ready
        or annotations_of(revision).get(serving.NO_GC_ANNOTATION, "").lower() == "true"
        or labels_of(revision).get(serving.ROUTING_STATE_LABEL) != "reserve"
    )


def _created(revision: Object) -> float:
    return parse_rfc3339(revision["metadata"]["creationTimestamp"])


def _last_active(revision: Object) -> float:
    text = annotations_of(revision).get(serving.ROUTING_STATE_MODIFIED_ANNOTATION)
    try:
        return parse_rfc3339(text) if text else _created(revision)
    except ValueError:
        return _created(revision)


def _stale_at(revision: Object, settings: GarbageCollection) -> float | None:
    """When both times will have passed; None if neither counts."""
    instants: list[float] = []
    if settings.retain_since_create_time is not None:
        instants.append(_created(revision) + settings.retain_since_create_time)
    if settings.retain_since_last_active_time is not None:
        instants.append(_last_active(revision) + settings.retain_since_last_active_time)
    return max(instants, default=None)
