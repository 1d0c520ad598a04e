"""The places of pods that are this gateway's, while there are others.

A place is given up in this order: HAProxy gets the lower number, what is above it ends, the entry
says so. It is taken in the other: the entry says so, in a write that fails if anything has
changed since it was decided, then HAProxy gets the higher number. So the sum over all gateways is
never above what a pod takes, whatever dies in between.

A gateway that is alone has no entries: each pod is its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tidegate.apis import gateway_leases as leases
from tidegate.apis.demand import DemandSource
from tidegate.apis.gateway_leases import Entry
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.division import TURN_SECONDS, Share, give_up, quotas, take
from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.ledger import Ledger
from tidegate.gateway.membership import Membership
from tidegate.gateway.model import PodServer, Revision
from tidegate.gateway.stopped import Stopped
from tidegate.kube.controller import Context, Controller
from tidegate.kube.objects import Key, Object, annotations_of

logger = logging.getLogger(__name__)

_LOOK_AGAIN = 0.004
_LONGEST_LOOK_AGAIN = 0.1
_SLOWER = 1.25
_LACK_PAUSE = 0.01
_DEMAND_PAUSE = 0.1
_CALM_PAUSE = 1.0
_SETTLE_SECONDS = 0.01
_LINGER_SECONDS = 0.05


@dataclass(frozen=True)
class _Known:
    """A revision as the agent last applied it."""

    revision: Revision
    servers: Mapping[str, PodServer]

    @property
    def in_rotation(self) -> list[str]:
        return [name for name, server in self.servers.items() if server.in_rotation]


@dataclass
class _Own:
    """What is ours of one revision.

    Attributes:
        entry: as it was last written, or is about to be.
        granted: what HAProxy may use, by pod: never above the entry's places.
        is_written: whether the entry is in the API.
        text: the annotation that the cache is to show before anything else is decided.
        written: when that was, on the steady clock.
        pause: before it is looked again whether requests have ended.
        obeyed: since when HAProxy gives each pod no more than what is granted.
        wants, wanted: requests that are to have places, and when there were so many.
    """

    entry: Entry
    granted: dict[str, int] = field(default_factory=dict[str, int])
    is_written: bool = False
    text: str = ""
    written: float = 0.0
    pause: float = _LOOK_AGAIN
    obeyed: dict[str, float] = field(default_factory=dict[str, float])
    wants: int = 0
    wanted: float = 0.0


class Places:
    """Keeps this gateway's entries, and tells the agent what it may use.

    Args:
        context: the gateway's own.
        plane: its HAProxy.
        membership: which gateways there are.
        demand: what this one sees.
        name: of this gateway.
    """

    def __init__(
        self,
        context: Context,
        plane: DataPlane,
        membership: Membership,
        demand: DemandSource,
        name: str,
    ) -> None:
        self._clock = context.clock
        self._plane = plane
        self._membership = membership
        self._demand = demand
        self._name = name
        self._annotation = leases.annotation_of(name)
        self._ledger = Ledger(context)
        self._known: dict[Key, _Known] = {}
        self._own: dict[Key, _Own] = {}
        # Revisions of which every place is ours, for nobody else was there when they came.
        self._whole: set[Key] = set()
        self._mark: Callable[[Key], None] = lambda _: None
        self._busy: Callable[[Key], frozenset[str]] = lambda _: frozenset()
        self._controller = Controller("gateway-places", self._reconcile, clock=context.clock)
        self._ledger.informer.add_handler(self._shown)
        self._controller.watch(self._ledger.informer, lambda lease: (leases.revision_named(lease),))
        membership.on_change(self._all_again)
        self._stopped = Stopped(context, membership, self._all_again)
        membership.on_lapse(self._start_anew)

    def bind(self, *, mark: Callable[[Key], None], busy: Callable[[Key], frozenset[str]]) -> None:
        """Meet the agent: how it is told to apply a revision, and which pods it knows at work."""
        self._mark = mark
        self._busy = busy

    @property
    def longest(self) -> int:
        """Seconds that pods of limited revisions may take here to begin an answer."""
        known = [item.revision for item in self._known.values() if item.revision.is_limited]
        return max((revision.start_ms // 1000 for revision in known), default=0)

    async def wait_synced(self) -> None:
        """Wait until it is known who else is there."""
        await self._ledger.informer.wait_synced()
        await self._membership.wait_entered()

    async def run(self) -> None:
        """Divide until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._membership.run())
            group.create_task(self._controller.run())
            group.create_task(self._stopped.run())
            group.create_task(self._follow_demand())

    async def _follow_demand(self) -> None:
        async with self._demand.subscribe() as demands:
            async for demand in demands:
                if self._is_shared(demand.revision):
                    self._controller.queue.add(demand.revision)

    def _all_again(self) -> None:
        for key in self._known.keys() | self._own.keys():
            self._controller.queue.add(key)

    def _start_anew(self) -> None:
        """Others may have taken what was ours."""
        self._own.clear()
        if self._membership.others:
            self._whole.clear()
        self._plane.is_stale = True
        for key in self._known:
            self._mark(key)
        self._all_again()

    def _is_shared(self, key: Key) -> bool:
        return bool(self._membership.others) or key in self._own

    def divide(self, revision: Revision, servers: dict[str, PodServer]) -> dict[str, PodServer]:
        """The pods with the places that are ours; called by the agent for what it applies."""
        key = revision.key
        if not self._ledger.has_revision(key):
            # A plain Service has no limit, and nobody scales it.
            return servers
        is_new = key not in self._known
        known = _Known(revision, servers)
        has_changed = self._known.get(key) != known
        self._known[key] = known
        if is_new and not self._is_shared(key) and self._ledger.lease_of(key) is None:
            self._whole.add(key)
        if key in self._whole or not revision.is_limited:
            return servers
        if has_changed:
            self._controller.queue.add(key)
        own = self._own.get(key)
        granted = own.granted if own is not None else {}
        return {
            pod: replace(
                server,
                in_rotation=server.in_rotation and granted.get(pod, 0) > 0,
                places=granted.get(pod, 0),
            )
            for pod, server in servers.items()
        }

    def forget(self, key: Key) -> None:
        """This gateway serves the revision no more; nothing of it is in any pod."""
        self._known.pop(key, None)
        self._whole.discard(key)
        if key in self._own:
            self._controller.queue.add(key)

    async def _reconcile(self, key: Key) -> float | None:
        known, lease = self._known.get(key), self._ledger.lease_of(key)
        if known is None:
            await self._leave(key, lease)
            return None
        own = self._own.get(key)
        if not self._membership.others:
            await self._own_all(key, lease)
            return None
        if own is not None and own.text:
            # The cache is behind our own write; its event comes.
            return None
        if own is None or not own.is_written:
            await self._enter(known, lease)
            return None
        return await self._act(known, own, lease)

    def _shown(self, old: Object | None, new: Object | None) -> None:
        """The cache has our own write."""
        lease = new if new is not None else old
        own = self._own.get(leases.revision_named(lease)) if lease is not None else None
        if own is None or lease is None:
            return
        if new is None or annotations_of(lease).get(self._annotation) == own.text:
            own.text = ""

    async def _leave(self, key: Key, lease: Object | None) -> None:
        if self._own.pop(key, None) is not None and lease is not None:
            await self._ledger.write(key, lease, {self._annotation: None})

    async def _own_all(self, key: Key, lease: Object | None) -> None:
        """Nobody else is there any more: every place is ours, without an entry."""
        if lease is not None:
            for name in leases.entries_of(lease).keys() - {self._name}:
                if not await self._membership.is_gone(name):
                    return
            await self._ledger.delete(key, lease)
        self._own.pop(key, None)
        if key not in self._whole:
            self._whole.add(key)
            self._mark(key)

    async def _enter(self, known: _Known, lease: Object | None) -> None:
        """Write what is ours, for the first time, or because the entry has been deleted."""
        key, limit = known.revision.key, known.revision.limit
        entries = leases.entries_of(lease)
        before = entries.pop(self._name, None)
        own = self._own.get(key)
        if own is None:
            claims = before.places if before is not None else self._claims(known)
            own = _Own(Entry(), dict(claims) if key in self._whole else {})
        else:
            claims = own.entry.places
        taken = _sum(entries)
        places = {pod: min(number, limit - taken.get(pod, 0)) for pod, number in claims.items()}
        version = max(own.entry.version, before.version if before is not None else 0) + 1
        own.entry = replace(
            self._measured(key),
            places=_some(places),
            since=self._clock.time(),
            version=version,
        )
        own.granted = {pod: min(number, places.get(pod, 0)) for pod, number in own.granted.items()}
        # From here on new pods are nobody's until they are taken.
        self._own[key] = own
        self._whole.discard(key)
        await self._put(key, lease, own, own.entry)
        own.is_written = True
        if before is not None:
            # Only now is it certain that nobody has taken it for left behind.
            own.granted = dict(own.entry.places)
        self._mark(key)

    def _claims(self, known: _Known) -> dict[str, int]:
        """Without an entry, every pod in which requests of ours may be is wholly ours."""
        key = known.revision.key
        if key not in self._whole and not self._membership.has_kept_lease:
            return {}
        slot = self._plane.slots.of(key) or ""
        pods = {*self._plane.servers.get(slot, {}), *self._plane.stages_of(slot), *self._busy(key)}
        if key in self._whole:
            pods.update(known.in_rotation)
        return dict.fromkeys(pods, known.revision.limit)

    def _measured(self, key: Key) -> Entry:
        demand = self._demand.snapshot(key)
        if demand is None:
            return Entry()
        return Entry(
            in_flight=demand.in_flight,
            queued=demand.queued,
            held=demand.held,
            requests=demand.requests,
            pods={load.name: load.in_flight for load in demand.pods if load.in_flight},
        )

    async def _act(self, known: _Known, own: _Own, lease: Object | None) -> float | None:
        """Give up and take as the division says; seconds until there may be more to do."""
        key = known.revision.key
        entries = leases.entries_of(lease)
        if lease is None or self._name not in entries:
            # Somebody has deleted it: say again what is ours.
            own.is_written = False
            await self._enter(known, lease)
            return None
        if await self._bury(key, lease, entries):
            return None
        entry = replace(self._measured(key), since=own.entry.since, version=own.entry.version + 1)
        waits: list[float] = []
        places, granted = dict(own.entry.places), own.granted
        if known.revision.is_limited:
            places, granted = await self._move(known, own, entries, entry, waits)
        had, has = (bool(_within(own.entry.places, known)), bool(_within(places, known)))
        if had != has:
            entry = replace(entry, since=self._clock.time())
        entry = replace(entry, places=places)
        due = self._due(own, entry)
        if due > 0:
            return min([due, *waits])
        if due == 0:
            await self._put(key, lease, own, entry)
            if granted != own.granted:
                own.granted = granted
                self._mark(key)
        return min(waits, default=None)

    async def _bury(self, key: Key, lease: Object, entries: Mapping[str, Entry]) -> bool:
        """Remove the entries of gateways that have left; whether there were any."""
        left = [name for name in entries if name not in {self._name, *self._membership.others}]
        gone = [name for name in left if await self._membership.is_gone(name)]
        if gone:
            await self._ledger.write(
                key, lease, {leases.annotation_of(name): None for name in gone}
            )
        return bool(gone)

    async def _move(
        self,
        known: _Known,
        own: _Own,
        entries: Mapping[str, Entry],
        entry: Entry,
        waits: list[float],
    ) -> tuple[dict[str, int], dict[str, int]]:
        """The places that are to be ours after this step, and what HAProxy may use then."""
        limit = known.revision.limit
        taken = _sum(entries)
        free = {pod: limit - taken.get(pod, 0) for pod in known.in_rotation}
        for name in self._membership.others - entries.keys():
            # Who has not said what it has may have everything, unless it has stopped before.
            namespace = known.revision.key.namespace
            free = {
                pod: number
                for pod, number in free.items()
                if not self._stopped.may_have(name, Key(namespace, pod))
            }
        wants = self._wants(own, entry.total, waits)
        shares = self._shares(known, own, entries, wants)
        capacity = sum(free.values()) + sum(share.held for share in shares)
        quota = quotas(capacity, shares)[self._name]
        if sum(share.demand > 0 for share in shares) > capacity:
            waits.append(TURN_SECONDS)
        here = _within(own.entry.places, known)
        kept = give_up(here, quota, entry.pods, own.granted)
        granted = _some({**own.entry.places, **kept})
        places = await self._given_up(known, own, granted)
        if any(number > granted.get(pod, 0) for pod, number in places.items()):
            waits.append(own.pause)
            own.pause = min(_SLOWER * own.pause, _LONGEST_LOOK_AGAIN)
        if quota > sum(here.values()):
            taken_too = take(here, quota, free, limit)
            places |= taken_too
            granted |= taken_too
        return _some(places), _some(granted)

    def _wants(self, own: _Own, total: int, waits: list[float]) -> int:
        """For how many requests places are wanted: for the most that there were a moment ago.

        A request that leaves the park for its place is in neither for some milliseconds, and
        who sends one after the other has none in between: moving the place away and back would
        take longer.
        """
        now = self._clock.monotonic()
        left = own.wanted + _LINGER_SECONDS - now
        if total >= own.wants or left <= 0:
            own.wants, own.wanted = total, now
        else:
            waits.append(left)
        return own.wants

    def _shares(
        self, known: _Known, own: _Own, entries: Mapping[str, Entry], wants: int
    ) -> list[Share]:
        now = self._clock.time()
        shares: list[Share] = []
        for name, entry in {**entries, self._name: own.entry}.items():
            is_own = name == self._name
            if is_own or self._membership.is_alive(name):
                held = sum(_within(entry.places, known).values())
                demand = wants if is_own else entry.total
                shares.append(Share(name, demand, held, max(now - entry.since, 0.0)))
        return shares

    async def _given_up(self, known: _Known, own: _Own, granted: dict[str, int]) -> dict[str, int]:
        """Lower HAProxy to what is granted; the places that are ours until requests end."""
        key = known.revision.key
        if granted != own.granted:
            own.granted, own.pause = dict(granted), _LOOK_AGAIN
            own.obeyed.clear()
            self._mark(key)
        wanted = {
            pod: granted.get(pod, 0) if pod in known.servers else 0 for pod in own.entry.places
        }
        lowered = {pod: less for pod, less in wanted.items() if less < own.entry.places[pod]}
        now = self._clock.monotonic()
        obeyed: dict[str, int] = {}
        for pod, less in lowered.items():
            if self._has_obeyed(key, pod, less):
                own.obeyed.setdefault(pod, now)
                # A thread of HAProxy may just have chosen the server as it was lowered.
                if now - own.obeyed[pod] >= _SETTLE_SECONDS:
                    obeyed[pod] = less
            else:
                own.obeyed.pop(pod, None)
        free = await self._below(key, obeyed)
        return {
            pod: wanted[pod] if pod not in lowered or pod in free else number
            for pod, number in own.entry.places.items()
        }

    def _has_obeyed(self, key: Key, pod: str, places: int) -> bool:
        """Whether HAProxy gives the pod no more than that."""
        server = self._plane.servers.get(self._plane.slots.of(key) or "", {}).get(pod)
        if server is None:
            return True
        is_set = server.is_maintenance or server.maxconn == places
        return is_set and self._plane.is_settled

    async def _below(self, key: Key, limits: Mapping[str, int]) -> frozenset[str]:
        """The pods among these in which what was above their limits is over."""
        if not limits:
            return frozenset()
        try:
            used = await self._plane.places_used(key, frozenset(limits))
        except AdminError as error:
            logger.debug("gateway: places of %s: %s", key, error)
            return frozenset()
        return frozenset(pod for pod in limits if used[pod] <= limits[pod]) - self._busy(key)

    def _due(self, own: _Own, entry: Entry) -> float:
        """Seconds until the entry is to be written, 0 for now and below it for never."""
        last = own.entry
        if entry.places != last.places:
            return 0.0
        passed = self._clock.monotonic() - own.written
        if entry.total != last.total or bool(entry.held) != bool(last.held):
            lacks = entry.total > last.total and entry.total > sum(entry.places.values())
            return max((_LACK_PAUSE if lacks else _DEMAND_PAUSE) - passed, 0.0)
        if replace(entry, version=last.version) != last:
            return max(_CALM_PAUSE - passed, 0.0)
        return -1.0

    async def _put(self, key: Key, lease: Object | None, own: _Own, entry: Entry) -> None:
        own.text = leases.encode(entry)
        try:
            await self._ledger.write(key, lease, {self._annotation: own.text})
        except BaseException:
            own.text = ""
            raise
        own.entry, own.written = entry, self._clock.monotonic()


def _sum(entries: Mapping[str, Entry]) -> dict[str, int]:
    total: dict[str, int] = {}
    for entry in entries.values():
        for pod, number in entry.places.items():
            total[pod] = total.get(pod, 0) + number
    return total


def _within(places: Mapping[str, int], known: _Known) -> dict[str, int]:
    """Those of pods that get requests."""
    rotation = known.servers
    return {
        pod: number
        for pod, number in places.items()
        if pod in rotation and rotation[pod].in_rotation
    }


def _some(places: Mapping[str, int]) -> dict[str, int]:
    return {pod: number for pod, number in places.items() if number > 0}
