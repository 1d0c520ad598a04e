"""HAProxy as the agent sees it: a mirror of what it holds, and the one writer that changes it.

The mirror is read once, when a HAProxy is started or adopted, and follows every command that was
accepted. After a refusal it is read again, so that a difference of views never lasts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tidegate.gateway import routes, servers
from tidegate.gateway.handover import Predecessor, Predecessors
from tidegate.gateway.haproxy import config as configuration
from tidegate.gateway.haproxy import paths as locations
from tidegate.gateway.haproxy import state
from tidegate.gateway.haproxy.config import Config
from tidegate.gateway.haproxy.paths import ProcessFiles
from tidegate.gateway.haproxy.process import Process
from tidegate.gateway.haproxy.socket import AdminError, AdminSocket
from tidegate.gateway.haproxy.state import ServerState
from tidegate.gateway.model import PodServer, Revision
from tidegate.gateway.orphans import Orphans
from tidegate.gateway.settings import GatewaySettings
from tidegate.gateway.slots import Slots
from tidegate.gateway.tls import Certificates
from tidegate.kube.clock import Clock
from tidegate.kube.errors import InternalFault, UserError
from tidegate.kube.objects import Key

logger = logging.getLogger(__name__)


class DataPlane:
    """One HAProxy and all that is in it.

    Args:
        settings: the operator's choices.
        clock: for the ends of certificates.
        running: the configuration of a HAProxy that is being replaced; it is only read then.
        files: what that one is known by.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        clock: Clock,
        *,
        running: Config | None = None,
        files: ProcessFiles | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.paths = locations.prepare(settings.data_dir)
        self.config = running or configuration.choose(settings, self.paths)
        self.admin = AdminSocket(self.config.admin_socket)
        self.process = Process(self.config, self.paths, files)
        self.certificates = Certificates(settings, self.paths, self.admin, clock)
        self.slots = Slots(self.config.limited, self.config.unlimited)
        self.servers: dict[str, dict[str, ServerState]] = {}
        self._routes: dict[str, str] = {}
        self._revisions: dict[str, str] = {}
        self._start_limits: dict[str, float] = {}
        self._stages = frozenset(self.config.stages)
        self._stage_of: dict[str, dict[str, str]] = {}
        self._free_stages: list[str] = []
        self._leaving: dict[tuple[str, str], None] = {}
        self._pending: list[str] = []
        self._closed: set[str] = set()
        self._kept: tuple[float, int] | None = None
        self.is_stale = False
        self.orphans = Orphans()
        self.before = Predecessors(self.orphans)

    async def open(self) -> None:
        """Adopt the HAProxy that runs, or start one.

        Raises:
            UserError: it does not start.
        """
        await self._find_predecessors()
        before = await self._running_otherwise()
        if before is None and await self.process.adopt(self.admin):
            await self.read_back()
            await self.orphans.find(servers.in_use(self.servers, self._stage_of))
        elif before is not None or (before := await self.before.take_back()) is not None:
            await self._replace(before)
        else:
            if (known := self.before.youngest()) is not None:
                self._inherit(known.plane)
            await self.restart()
        await self.before.hand_over()
        await self.before.look()

    async def _find_predecessors(self) -> None:
        """Handovers may have been under way when the last control plane died."""
        for files in self.paths.all_leaving():
            config = configuration.read(files.config)
            if config is None:
                continue
            before = DataPlane(self._settings, self._clock, running=config, files=files)
            if await before.process.adopt(before.admin):
                await before.read_back()
                self.before.add(Predecessor(before))
            elif before.process.is_left_behind:
                before.process.discard()

    async def _running_otherwise(self) -> DataPlane | None:
        """The HAProxy that clients reach, if it has another configuration."""
        other = configuration.read(self.paths.config)
        if other is None or other.identity == self.config.identity:
            return None
        before = DataPlane(self._settings, self._clock, running=other)
        return before if await before.process.adopt(before.admin) else None

    async def _replace(self, before: DataPlane) -> None:
        if before.config.can_hand_over:
            await self._take_over(before)
        else:
            logger.info("gateway: HAProxy %d is replaced", before.process.pid)
            await before.process.stop()
            await self.restart()

    async def _take_over(self, before: DataPlane) -> None:
        """Start beside the HAProxy that runs; it is one of those before then."""
        logger.info(
            "gateway: HAProxy %d has another configuration: a new one takes over",
            before.process.pid,
        )
        await before.read_back()
        await self.orphans.find(servers.in_use(before.servers, before._stage_of))
        self._inherit(before)
        self._write_maps()
        await asyncio.to_thread(self.certificates.prepare)
        before.process.set_aside()
        try:
            await self.process.start(heir_of=before.config.admin_socket)
        except (UserError, InternalFault) as error:
            logger.warning("gateway: no handover (%s): HAProxy is replaced", error)
            await self.process.stop()
            await before.process.stop()
            before.process.discard()
            await self.restart()
        else:
            self._reset({})
            self.before.add(Predecessor(before))

    def _inherit(self, before: DataPlane) -> None:
        """Know what it knows: the agent learns of changes since then from the API."""
        self._routes, self._revisions = dict(before.route_entries), {}
        for revision, slot in before.slots.assigned().items():
            if self.slots.restore(slot, revision):
                self._revisions[slot] = before.revision_entries[slot]

    async def stop_all(self, at_once: asyncio.Event | None) -> None:
        """End HAProxy and those before it, whoever started them, whatever they are.

        Args:
            at_once: when it is set, what is in flight gets no more time.
        """
        leaving = self.paths.all_leaving()
        for files in (self.paths.current, *leaving):
            config = configuration.read(files.config)
            if config is not None:
                process = Process(config, self.paths, files)
                await process.find_and_stop(AdminSocket(config.admin_socket), at_once)
                if files in leaving:
                    process.discard()
        self.process.release()

    async def restart(self) -> None:
        """Start a HAProxy that knows the routes of the last one, and no pods yet.

        Raises:
            UserError: it does not start.
        """
        self._write_maps()
        await asyncio.to_thread(self.certificates.prepare)
        keeper = self.before.youngest()
        await self.process.start(heir_of=keeper.admin_socket if keeper is not None else None)
        await self.orphans.find()
        self._reset({})

    async def read_back(self) -> None:
        """Read the mirror from the running HAProxy.

        Raises:
            AdminError: it does not answer.
        """
        self._routes = state.parse_map(await self._show_map(self.paths.routes_map))
        self._revisions = state.parse_map(await self._show_map(self.paths.revisions_map))
        found: dict[str, dict[str, ServerState]] = {}
        for server in state.parse_servers(await self.admin.read("show servers state")):
            found.setdefault(server.proxy, {})[server.name] = server
        await self.certificates.read_back()
        self._reset(found)
        for slot, text in self._revisions.items():
            _, namespace, name = text.split("/")[:3]
            self.slots.restore(slot, Key(namespace, name))

    def _reset(self, found: dict[str, dict[str, ServerState]]) -> None:
        self.servers = found
        self.is_stale = False
        self._leaving, self._stage_of = {}, {}
        self._pending, self._closed = ["open park all"], set()
        if self._kept is not None:
            until, ends_within = self._kept
            seconds = max(int(until - self._clock.monotonic()), 0)
            self._pending.append(f"keep places {seconds} {ends_within}")
        self._free_stages = [
            stage for stage in reversed(self.config.stages) if not found.get(stage)
        ]
        for stage in self._stages & found.keys():
            for name in found[stage]:
                slot, _, pod = name.partition(":")
                self._stage_of.setdefault(slot, {})[pod] = stage

    def _write_maps(self) -> None:
        for path, entries in (
            (self.paths.routes_map, self._routes),
            (self.paths.revisions_map, self._revisions),
        ):
            text = "".join(f"{key} {value}\n" for key, value in entries.items())
            configuration.write_private(path.parent, path.name, text)

    async def _show_map(self, path: object) -> str:
        return await self.admin.read(f"show map {path}")

    @property
    def route_entries(self) -> Mapping[str, str]:
        """The map of routes as HAProxy has it."""
        return self._routes

    @property
    def revision_entries(self) -> Mapping[str, str]:
        """The map of revisions as HAProxy has it."""
        return self._revisions

    def start_limit(self, slot: str) -> float:
        """Seconds that pods have for the first byte, 0 where the limit on silences is shorter."""
        return self._start_limits.get(slot, 0.0)

    def set_routes(self, before: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        """Make the entries `before` of the map of routes these; hosts change over in one step."""
        present = {key: self._routes[key] for key in before if key in self._routes}
        self._pending += routes.changes(str(self.paths.routes_map), present, wanted)
        for key in present:
            del self._routes[key]
        self._routes.update(wanted)

    def place(self, revision: Revision) -> str:
        """Give the revision a slot that has its limits and name.

        Raises:
            PoolExhaustedError: there is none left.
        """
        slot = self.slots.assign(revision.key, is_limited=revision.is_limited)
        self._start_limits[slot] = revision.start_ms / 1000 if revision.has_start_limit else 0.0
        text = _revision_entry(slot, revision)
        if self._revisions.get(slot) != text:
            verb = "set" if slot in self._revisions else "add"
            self._pending.append(f"{verb} map {self.paths.revisions_map} {slot} {text}")
            self._revisions[slot] = text
        self._open(slot)
        return slot

    def _open(self, slot: str) -> None:
        if slot in self._closed:
            self._pending.append(f"open park {slot}")
            self._closed.discard(slot)

    def set_servers(self, revision: Revision, wanted: Mapping[str, PodServer]) -> list[str]:
        """Make the pods of the revision these; returns those for which there is no stage left."""
        slot = self.slots.assign(revision.key, is_limited=revision.is_limited)
        if revision.is_limited:
            plan = servers.plan_limited(
                slot,
                revision,
                wanted,
                self.servers,
                self.stages_of(slot),
                self._free_stages,
                self.config.prefix,
            )
        else:
            present = self.servers.get(slot, {})
            plan = servers.plan_unlimited(slot, wanted, present, h2=revision.speaks_h2)
        self._pending += plan.commands
        self._follow(plan.commands)
        for proxy, name in list(self._leaving):
            if proxy == slot or name.startswith(f"{slot}:"):
                del self._leaving[proxy, name]
        self._leaving.update(dict.fromkeys(plan.leaving))
        return plan.unplaced

    def clear(self, revision: Key) -> None:
        """Take every pod of the revision out, to be deleted when idle."""
        slot = self.slots.of(revision)
        if slot is not None:
            # Without a pod wanted, limits do not matter to either plan.
            nothing = Revision(revision, int(slot in self.config.limited), 0, 0, 0)
            self.set_servers(nothing, {})

    def close(self, revision: Key) -> None:
        """Answer what waits for a revision that has no pods left, and whatever still comes.

        What is queued in the slot moves to the park when HAProxy looks at the queue again, which
        it does when a server's maxconn is set, if only to what it was.
        """
        slot = self.slots.of(revision)
        if slot is not None and slot not in self._closed:
            self._pending += [f"close park {slot}", f"set maxconn server {slot}/park 1000000"]
            self._closed.add(slot)

    async def flush(self) -> None:
        """Send HAProxy what has been decided since the last time, in that order.

        Raises:
            AdminError: it refused some of it, or is gone; the mirror is stale then.
        """
        commands, self._pending = self._pending, []
        if not commands:
            return
        # Until HAProxy has them all, the mirror is ahead of it.
        self.is_stale = True
        await self.admin.change(commands)
        self.is_stale = False

    @property
    def is_settled(self) -> bool:
        """Whether HAProxy has what the mirror shows."""
        return not self._pending and not self.is_stale

    def stages_of(self, slot: str) -> Mapping[str, str]:
        """Pod to stage, for the pods of a slot."""
        return dict(self._stage_of.get(slot, {}))

    async def release(self, revision: Key) -> bool:
        """Give up the slot of a revision that no route names; False while it has servers."""
        slot = self.slots.of(revision)
        if slot is None:
            return True
        if self.servers.get(slot) or self.stages_of(slot):
            return False
        if await self.requests_at(slot):
            return False
        if slot in self._revisions:
            self._pending.append(f"del map {self.paths.revisions_map} {slot}")
            del self._revisions[slot]
        self._open(slot)
        self.slots.release(revision)
        return True

    async def requests_at(self, slot: str) -> int:
        """Requests in a slot: in flight, queued and held."""
        rows = state.parse_stat(await self.admin.read(f"show stat {slot} 2 -1"))
        return sum(row.current for row in rows)

    async def keep_places(self, seconds: int, ends_within: int) -> None:
        """Let HAProxy use pods that others share for so long, and without end for 0.

        Raises:
            AdminError: it does not answer.
        """
        self._kept = (self._clock.monotonic() + seconds, ends_within) if seconds else None
        command = f"keep places {seconds} {ends_within}" if seconds else "keep places off"
        await self.before.keep_places(seconds, ends_within)
        await self.admin.change([command])

    async def places_used(self, revision: Key, pods: Iterable[str]) -> dict[str, int]:
        """Places of these pods that requests have, whatever became of their clients."""
        slot = self.slots.of(revision)
        used = dict.fromkeys(pods, 0)
        if slot is None or not used:
            return used
        stages = self.stages_of(slot)
        proxies = [slot, *(stages[pod] for pod in used if pod in stages)]
        text = await self.admin.read(*(f"show stat {proxy} 4 -1" for proxy in proxies))
        for row in state.parse_stat(text):
            # The stage's server counts requests of clients that have left, too.
            pod = row.server.removeprefix(f"{slot}:")
            if pod in used:
                used[pod] = max(used[pod], row.current)
        return used

    @property
    def has_leaving(self) -> bool:
        """Whether servers wait to be deleted."""
        return bool(self._leaving)

    async def reap(self) -> set[str]:
        """Delete the leaving servers that are idle; returns the slots that lost one.

        HAProxy may refuse for some milliseconds more: they stay, and are tried again.
        """
        changed: set[str] = set()
        for proxy, name in list(self._leaving):
            if name not in self.servers.get(proxy, {}):
                del self._leaving[proxy, name]
                continue
            commands = [f"del server {proxy}/{name}"]
            if await self.in_flight(proxy, name):
                continue
            if proxy in self._stages:
                commands.insert(0, f"disable server {proxy}/{name}")
                self._follow(commands[:1])
            try:
                await self.admin.change(commands)
            except AdminError as error:
                if error.is_gone:
                    raise
                continue
            del self._leaving[proxy, name]
            changed.add(self._forget(proxy, name))
        return changed

    def _forget(self, proxy: str, name: str) -> str:
        del self.servers[proxy][name]
        if proxy not in self._stages:
            return proxy
        slot, _, pod = name.partition(":")
        self._stage_of[slot].pop(pod, None)
        # The stage that has rested longest is the next to be used.
        self._free_stages.insert(0, proxy)
        return slot

    async def in_flight(self, proxy: str, name: str) -> int:
        """Requests in one server and waiting for it."""
        rows = state.parse_stat(await self.admin.read(f"show stat {proxy} 4 -1"))
        return sum(row.current + row.queued for row in rows if row.server == name)

    async def pod_in_flight(self, revision: Key, pod: str) -> int:
        """Requests in a pod, whatever became of their clients."""
        slot = self.slots.of(revision)
        await self.before.look()
        if pod in self.before.busy(revision):
            return 1
        if slot is None:
            return 0
        number = await self.in_flight(slot, pod)
        stage = self.stages_of(slot).get(pod)
        if stage is not None:
            number += await self.in_flight(stage, servers.stage_server(slot, pod))
        return number

    def _follow(self, commands: Iterable[str]) -> None:
        for command in commands:
            verb, _, *rest = command.split()
            where = rest.pop(0) if verb != "set" else rest.pop(1)
            proxy, _, name = where.partition("/")
            here = self.servers.setdefault(proxy, {})
            if verb == "add":
                here[name] = servers.added(proxy, name, rest)
                if proxy in self._stages:
                    slot, _, pod = name.partition(":")
                    self._stage_of.setdefault(slot, {})[pod] = proxy
            elif verb == "set":
                here[name] = replace(here[name], maxconn=int(rest[-1]))
            else:
                here[name] = replace(here[name], is_maintenance=verb == "disable")

    async def wait_ended(self) -> None:
        """Return when HAProxy has ended."""
        await self.process.wait_ended()

    async def stop(self) -> None:
        """End HAProxy."""
        await self.process.stop()

    def let_go(self) -> None:
        """Let go of HAProxy, which runs on."""
        self.process.release()


def _revision_entry(slot: str, revision: Revision) -> str:
    fields = [
        "again" if revision.is_watched else slot,
        revision.key.namespace,
        revision.key.name,
        str(revision.max_queued),
        slot,
    ]
    if revision.is_plain:
        # The slash at the end tells HAProxy that there is no more to do.
        return "/".join([*fields, ""])
    fields += [str(revision.idle_ms), str(revision.start_ms)]
    if revision.affinity is not None:
        fields += [revision.affinity.cookie, str(revision.affinity.max_age)]
    return "/".join(fields)
