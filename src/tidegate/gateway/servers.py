"""From the pods of a revision to the servers of its slot: a pure plan of admin commands.

A pod of an unlimited revision is one server of the slot. A pod of a limited one is two: the
slot's server leads to a stage (a socket of our own), and the stage's one server leads to the pod;
both have the containerConcurrency as `maxconn`. The stage's server carries the slot's name too,
`<slot>:<pod>`, so that everything can be read back from a running HAProxy.

Out of rotation means `maint`: nothing new comes, not even by cookie, what is in flight goes on,
and coming back raises the event that wakes the park. A server is deleted when nothing is in
flight there, the slot's before its stage's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.gateway.haproxy.state import ServerState
from tidegate.gateway.model import PodServer, Revision

# HAProxy deletes no server that has idle connections, so they must not stay for long.
_POOL = " pool-purge-delay 1s"

# Requests of sessions that wait for their own pod; more of them go to any pod.
_SESSION_QUEUE = 10

Servers = Mapping[str, Mapping[str, ServerState]]


@dataclass
class Plan:
    """What to do about one slot.

    Attributes:
        commands: for the admin socket, in order.
        leaving: (proxy, server) to delete when they are idle; none has traffic ahead of it.
        unplaced: pods for which no stage is left.
    """

    commands: list[str] = field(default_factory=list[str])
    leaving: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    unplaced: list[str] = field(default_factory=list[str])


def stage_server(slot: str, pod: str) -> str:
    """The name of the server in a pod's stage."""
    return f"{slot}:{pod}"


def plan_unlimited(
    slot: str, wanted: Mapping[str, PodServer], present: Mapping[str, ServerState], *, h2: bool
) -> Plan:
    """Servers that lead straight to the pods."""
    plan = Plan()
    protocol = " proto h2" if h2 else ""
    for pod, server in wanted.items():
        known = present.get(pod)
        if known is not None and not _leads_to(known, server):
            _take_out(plan, slot, known)
            plan.leaving.append((slot, pod))
        elif known is None:
            if server.in_rotation:
                address = _join(server.address, server.port)
                plan.commands += [f"add server {slot}/{pod} {address}{_POOL}{protocol}"]
                plan.commands += [f"enable server {slot}/{pod}"]
        else:
            _rotate(plan, slot, known, server.in_rotation)
    for pod, known in present.items():
        if pod not in wanted:
            _take_out(plan, slot, known)
            plan.leaving.append((slot, pod))
    return plan


def plan_limited(
    slot: str,
    revision: Revision,
    wanted: Mapping[str, PodServer],
    servers: Servers,
    stages: Mapping[str, str],
    free_stages: list[str],
    prefix: str,
) -> Plan:
    """Servers that lead to stages, and the stages' servers.

    Args:
        servers: all servers of HAProxy by proxy.
        stages: pod to stage, for the pods of this slot.
        free_stages: stages without a server; those used are taken from its end.
        prefix: of the stages' sockets.
    """
    plan = Plan()
    present = servers.get(slot, {})
    for pod, server in wanted.items():
        known, stage = present.get(pod), stages.get(pod)
        behind = servers[stage][stage_server(slot, pod)] if stage else None
        if behind is not None and not _leads_to(behind, server):
            _leave_both(plan, slot, pod, known, stage)
        elif known is not None and behind is None:
            _leave_both(plan, slot, pod, known, None)
        elif known is not None and behind is not None:
            if server.in_rotation:
                _set_places(plan, known, behind, server.places or revision.limit)
            _rotate(plan, slot, known, server.in_rotation)
        elif server.in_rotation and not stage and not free_stages:
            plan.unplaced.append(pod)
        elif server.in_rotation:
            if stage and behind is not None and behind.is_maintenance:
                # It was to be deleted, and HAProxy was not ready for that yet.
                plan.commands.append(f"enable server {stage}/{behind.name}")
            places = server.places or revision.limit
            if stage and behind is not None and behind.maxconn != places:
                plan.commands.append(f"set maxconn server {stage}/{behind.name} {places}")
            stage = stage or _enter_stage(plan, slot, revision, server, free_stages)
            plan.commands += [
                f"add server {slot}/{pod} abns@{prefix}-{stage} maxconn {places}"
                f" maxqueue {_SESSION_QUEUE}{_POOL}",
                f"enable server {slot}/{pod}",
            ]
    for pod in [*present, *(pod for pod in stages if pod not in present)]:
        if pod not in wanted:
            _leave_both(plan, slot, pod, present.get(pod), stages.get(pod))
    return plan


def in_use(servers: Servers, stages: Mapping[str, Mapping[str, str]]) -> frozenset[int]:
    """Ports of the pods of limited revisions to which HAProxy gives requests.

    Args:
        servers: all servers of HAProxy by proxy.
        stages: pod to stage, by slot.
    """
    return frozenset(
        servers[stage][stage_server(slot, pod)].port
        for slot, stage_of in stages.items()
        for pod, stage in stage_of.items()
        if pod in servers.get(slot, {}) and not servers[slot][pod].is_maintenance
    )


def added(proxy: str, name: str, options: list[str]) -> ServerState:
    """What `add server` with these options makes."""
    target = options[0]
    maxconn = int(options[options.index("maxconn") + 1]) if "maxconn" in options else 0
    if target.startswith("abns@"):
        return ServerState(proxy, name, "", 0, is_maintenance=True, maxconn=maxconn)
    address, _, port = target.rpartition(":")
    return ServerState(
        proxy, name, address.strip("[]"), int(port), is_maintenance=True, maxconn=maxconn
    )


def _enter_stage(
    plan: Plan, slot: str, revision: Revision, server: PodServer, free_stages: list[str]
) -> str:
    stage = free_stages.pop()
    name = f"{stage}/{stage_server(slot, server.pod)}"
    protocol = " proto h2" if revision.speaks_h2 else ""
    address = _join(server.address, server.port)
    plan.commands += [
        f"add server {name} {address} maxconn {server.places or revision.limit}{_POOL}{protocol}",
        f"enable server {name}",
    ]
    return stage


def _leave_both(
    plan: Plan, slot: str, pod: str, known: ServerState | None, stage: str | None
) -> None:
    if known is not None:
        _take_out(plan, slot, known)
        plan.leaving.append((slot, pod))
    elif stage is not None:
        plan.leaving.append((stage, stage_server(slot, pod)))


def _set_places(plan: Plan, known: ServerState, behind: ServerState, places: int) -> None:
    # The stage's is raised first and lowered last, so that nothing waits there.
    both = [behind, known] if places > known.maxconn else [known, behind]
    plan.commands += [
        f"set maxconn server {server.proxy}/{server.name} {places}"
        for server in both
        if server.maxconn != places
    ]


def _rotate(plan: Plan, slot: str, known: ServerState, in_rotation: bool) -> None:
    if in_rotation and known.is_maintenance:
        plan.commands.append(f"enable server {slot}/{known.name}")
    elif not in_rotation:
        _take_out(plan, slot, known)


def _take_out(plan: Plan, slot: str, known: ServerState) -> None:
    if not known.is_maintenance:
        plan.commands.append(f"disable server {slot}/{known.name}")


def _leads_to(known: ServerState, server: PodServer) -> bool:
    return (known.address, known.port) == (server.address, server.port)


def _join(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
