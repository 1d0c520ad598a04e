"""The agent: brings HAProxy in line with the API, change by change, and keeps it alive.

Changes of KIngresses, Revisions, EndpointSlices and Pods mark keys; one loop takes all the marks
there are and applies them. New pods and slots come before routes, what goes comes after.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.gateway import reading, routes
from tidegate.gateway.compiled import Compiled, compile_ingress
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.demand import Sampler
from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.model import Affinity
from tidegate.gateway.places import Places
from tidegate.gateway.route_table import RouteTable
from tidegate.gateway.sessions import Sessions
from tidegate.gateway.slots import PoolExhaustedError
from tidegate.gateway.targets import Targets, base_of
from tidegate.gateway.unfinished import Unfinished
from tidegate.kube.controller import Context
from tidegate.kube.errors import InternalFault, UserError
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Key, Object, is_deleting, key_of
from tidegate.kube.resources import SECRETS

logger = logging.getLogger(__name__)

OutcomeHandler = Callable[[Key], None]

_RESTART_PAUSE = 0.2
_REAP_PAUSE = 0.05
_LONGEST_REAP_PAUSE = 1.0
_RETRY_PAUSE = 0.1
_PREDECESSOR_PAUSE = 0.2
_RENEW_PAUSE = 3600.0
_BY_CERTIFICATE = "gateway-certificate"


@dataclass(frozen=True)
class Outcome:
    """What became of a KIngress: `problem` is empty when its hosts are served."""

    generation: int
    problem: str = ""


class Agent:
    """One gateway's agent.

    Args:
        context: client, informers and clock of the gateway's own identity.
        plane: the HAProxy it keeps.
        sampler: told which slots to measure.
        sessions: told whose sessions stick.
        places: says which pods are this gateway's, and how much of them.
        forget: called with each revision that the gateway serves no more.
        max_queued: requests that may wait for a revision that does not say.
    """

    def __init__(
        self,
        context: Context,
        plane: DataPlane,
        sampler: Sampler,
        sessions: Sessions,
        places: Places,
        *,
        forget: Callable[[Key], None],
        max_queued: int,
    ) -> None:
        self._clock = context.clock
        self._plane = plane
        self._sampler = sampler
        self._sessions = sessions
        self._places = places
        self._forget = forget
        self._max_queued = max_queued
        self._ingresses = context.informers.of(KINGRESSES)
        self._targets = Targets(context, self._follow_target)
        self._informers = [self._ingresses, *self._targets.informers]
        self._compiled: dict[Key, Compiled] = {}
        self._users: dict[Key, set[Key]] = {}
        # A Service may be in use by several of its ports.
        self._ports: dict[Key, set[Key]] = {}
        self._changed_ingresses: set[Key] = set()
        self._changed_revisions: set[Key] = set()
        self._wake = asyncio.Event()
        self._reap = asyncio.Event()
        self._turn = asyncio.Lock()
        self._ready = asyncio.Event()
        self._outcomes: dict[Key, Outcome] = {}
        self._routes = RouteTable(plane, self._slot_of)
        self._starved: set[Key] = set()
        # Without a route, and with a slot that is not empty yet.
        self._unused: set[Key] = set()
        self._unfinished = Unfinished(
            plane,
            context.clock,
            self._turn,
            servers=self._targets.servers,
            mark=lambda key: self._mark(revision=key),
        )
        places.bind(
            mark=lambda key: self._mark(revision=key),
            busy=lambda key: frozenset(self._unfinished.busy(key, self._targets.servers(key))),
        )
        self._on_outcome: list[OutcomeHandler] = []
        self._ingresses.add_handler(self._follow_ingress)
        if plane.certificates.is_on:
            self._follow_secrets(context.informers.of(SECRETS))

    def _follow_secrets(self, secrets: Informer) -> None:
        def secret(old: Object | None, new: Object | None) -> None:
            key = key_of(_either(old, new))
            for ingress in self._ingresses.by_index(_BY_CERTIFICATE, str(key)):
                self._mark(ingress=key_of(ingress))

        self._informers.append(secrets)
        self._ingresses.add_index(_BY_CERTIFICATE, _secret_index)
        self._plane.certificates.find_secrets(lambda key: secrets.get(key.name, key.namespace))
        secrets.add_handler(secret)

    def _follow_ingress(self, old: Object | None, new: Object | None) -> None:
        self._mark(ingress=key_of(_either(old, new)))

    def _follow_target(self, target: Key, has_come_or_gone: bool) -> None:
        for key in {target, *self._ports.get(target, ())}:
            self._mark(revision=key)
            for user in self._users.get(key, ()) if has_come_or_gone else ():
                self._mark(ingress=user)

    def _slot_of(self, target: Key) -> str | None:
        """The target's slot, or what says that the request goes in again by another name."""
        return routes.AGAIN if self._targets.is_alias(target) else self._plane.slots.of(target)

    def _mark(self, *, ingress: Key | None = None, revision: Key | None = None) -> None:
        if ingress is not None:
            self._changed_ingresses.add(ingress)
        if revision is not None:
            self._changed_revisions.add(revision)
        self._wake.set()

    def mark_all(self) -> None:
        """Look at everything again."""
        self._changed_ingresses.update(key_of(obj) for obj in self._ingresses.items())
        self._changed_ingresses.update(self._compiled)
        self._changed_revisions.update(self._plane.slots.assigned())
        self._changed_revisions.update(self._users)
        self._wake.set()

    def outcome(self, ingress: Key) -> Outcome | None:
        """What became of a KIngress, None while it has not been looked at."""
        return self._outcomes.get(ingress)

    def on_outcome(self, handler: OutcomeHandler) -> None:
        """Call `handler` with the key of each KIngress whose outcome has changed."""
        self._on_outcome.append(handler)

    async def wait_ready(self) -> None:
        """Wait until HAProxy runs and all that the API knew at the start is in it."""
        await self._ready.wait()

    async def run(self) -> None:
        """Keep HAProxy in line until cancelled; HAProxy runs on then.

        Raises:
            UserError: HAProxy does not start.
        """
        await self._plane.open()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervise())
                group.create_task(self._synchronize())
                group.create_task(self._places.run())
                group.create_task(self._delete_idle())
                group.create_task(self._unfinished.run())
                group.create_task(self._follow_predecessors())
                group.create_task(self._renew_certificates())
        finally:
            self._plane.let_go()

    async def _supervise(self) -> None:
        while True:
            await self._plane.wait_ended()
            logger.error("gateway: HAProxy has ended and is started again")
            async with self._turn:
                await self._restart()
            self.mark_all()

    async def _restart(self) -> None:
        while True:
            try:
                await self._plane.restart()
                self._unfinished.clear()
            except (UserError, InternalFault) as error:
                logger.error("gateway: %s", error)
                await self._clock.sleep(_RESTART_PAUSE)
            else:
                return

    async def _synchronize(self) -> None:
        for informer in self._informers:
            await informer.wait_synced()
        await self._places.wait_synced()
        self.mark_all()
        while True:
            await self._wake.wait()
            self._wake.clear()
            ingresses, self._changed_ingresses = self._changed_ingresses, set()
            revisions, self._changed_revisions = self._changed_revisions, set()
            try:
                async with self._turn:
                    await self._apply(ingresses, revisions)
            except AdminError as error:
                logger.warning("gateway: %s; trying again", error)
                self._changed_ingresses |= ingresses
                self._changed_revisions |= revisions
                await self._clock.sleep(_RETRY_PAUSE)
                self.mark_all()
            else:
                self._ready.set()

    async def _apply(self, ingresses: set[Key], revisions: set[Key]) -> None:
        if self._plane.is_stale:
            await self._plane.read_back()
            self._routes.is_known = False
        touched = set(revisions)
        for key in ingresses:
            touched |= self._compile(key)
        for key in touched:
            self._apply_revision(key)
        if ingresses or not self._routes.is_known:
            self._routes.apply(ingresses, self._compiled)
        await self._plane.flush()
        await self._plane.certificates.flush()
        for key in ingresses & self._compiled.keys():
            self._settle(key)
        for key in touched:
            if key not in self._users:
                await self._withdraw(key)
        await self._plane.flush()
        if self._plane.has_leaving:
            self._reap.set()

    def _compile(self, key: Key) -> set[Key]:
        """Read one KIngress again; returns the revisions it named or names now."""
        before = self._compiled.pop(key, None)
        touched = before.revisions if before else set[Key]()
        obj = self._ingresses.get(key.name, key.namespace)
        if obj is not None and not is_deleting(obj) and routes.is_ours(obj):
            compiled = compile_ingress(obj)
            self._compiled[key] = compiled
            touched |= compiled.revisions
        else:
            self._outcomes.pop(key, None)
        for revision in touched:
            self._use(revision, key)
        return touched

    def _use(self, revision: Key, ingress: Key) -> None:
        compiled = self._compiled.get(ingress)
        users = self._users.setdefault(revision, set())
        ports = self._ports.setdefault(base_of(revision), set())
        if compiled is not None and revision in compiled.revisions:
            users.add(ingress)
            ports.add(revision)
        else:
            users.discard(ingress)
        if not users:
            del self._users[revision]
            ports.discard(revision)
        if not ports:
            del self._ports[base_of(revision)]

    def _apply_revision(self, key: Key) -> None:
        if key not in self._users:
            return
        obj = self._targets.get(key)
        if obj is not None:
            self._place(key, obj)
        else:
            self._dismiss(key)

    def _dismiss(self, key: Key) -> None:
        """Answer what waits for a revision that is gone; what its pods work on goes on."""
        self._unfinished.forget(key)
        self._plane.clear(key)
        self._plane.close(key)

    def _place(self, key: Key, obj: Object) -> None:
        revision = reading.revision_of(
            obj, affinity=self._affinity(key), max_queued=self._max_queued
        )
        self._starved.discard(key)
        try:
            slot = self._plane.place(revision)
        except PoolExhaustedError as error:
            logger.error("gateway: %s", error)
            self._starved.add(key)
            return
        pods = self._unfinished.spare(revision, self._targets.servers(key))
        unplaced = self._plane.set_servers(revision, self._places.divide(revision, pods))
        if unplaced:
            logger.error(
                "gateway: no stage is left for pods %s: as many pods of revisions with a "
                "containerConcurrency run as the gateway has been set up for (--max-revisions)",
                ", ".join(unplaced),
            )
            self._starved.add(key)
        affinity = revision.affinity
        self._sessions.stick(key, affinity.max_age if affinity is not None else 0)
        self._sampler.watch(slot, revision.limit)

    async def _withdraw(self, key: Key) -> None:
        """Empty the slot of a revision that gets no new requests, once it has served the rest."""
        slot = self._plane.slots.of(key)
        if slot is None:
            self._unfinished.forget(key)
            return
        self._unused.add(key)
        obj = self._targets.get(key)
        if obj is not None and await self._plane.requests_at(slot):
            self._place(key, obj)
            self._reap.set()
            return
        self._dismiss(key)
        await self._plane.flush()
        if await self._plane.release(key):
            self._unused.discard(key)
            self._sampler.unwatch(slot, key)
            self._sessions.forget(key)
            self._places.forget(key)
            self._forget(key)
            self._feed_starved()
        else:
            self._reap.set()

    def _feed_starved(self) -> None:
        for key in self._starved:
            self._mark(revision=key)
            for user in self._users.get(key, ()):
                self._mark(ingress=user)

    def _affinity(self, key: Key) -> Affinity | None:
        for user in sorted(self._users.get(key, ())):
            affinity = self._compiled[user].affinity
            if affinity is not None:
                return affinity
        return None

    async def _renew_certificates(self) -> None:
        while self._plane.certificates.is_on:
            await self._clock.sleep(_RENEW_PAUSE)
            try:
                async with self._turn:
                    await self._plane.certificates.renew()
            except AdminError as error:
                logger.warning("gateway: certificates not renewed: %s", error)

    async def _follow_predecessors(self) -> None:
        """Let the HAProxies before this one end when they have nothing left to do."""
        while not self._plane.before.end_idle():
            await self._clock.sleep(_PREDECESSOR_PAUSE)
            await self._plane.before.look()

    def _settle(self, key: Key) -> None:
        problem = self._routes.problem(key) or self._plane.certificates.problem(key)
        outcome = Outcome(self._compiled[key].generation, problem)
        if self._outcomes.get(key) != outcome:
            self._outcomes[key] = outcome
            for handler in self._on_outcome:
                handler(key)

    async def _delete_idle(self) -> None:
        pause = _REAP_PAUSE
        while True:
            await self._reap.wait()
            self._reap.clear()
            try:
                async with self._turn:
                    slots = set[str]() if self._plane.is_stale else await self._plane.reap()
            except AdminError as error:
                logger.debug("gateway: idle servers not deleted: %s", error)
                slots = set[str]()
            pause = _REAP_PAUSE if slots else min(2 * pause, _LONGEST_REAP_PAUSE)
            if slots:
                self._feed_starved()
            for slot in slots:
                revision = self._plane.slots.revision_of(slot)
                if revision is not None:
                    self._mark(revision=revision)
            if self._plane.has_leaving or self._has_unused():
                await self._clock.sleep(pause)
                self._reap.set()
            else:
                pause = _REAP_PAUSE

    def _has_unused(self) -> bool:
        self._unused -= self._users.keys()
        for key in self._unused:
            self._mark(revision=key)
        return bool(self._unused)


def _secret_index(ingress: Object) -> list[str]:
    return [str(key) for key in set(routes.secrets(ingress).values())]


def _either(old: Object | None, new: Object | None) -> Object:
    obj = new if new is not None else old
    if obj is None:
        raise InternalFault("an informer told of a change without an object")
    return obj
