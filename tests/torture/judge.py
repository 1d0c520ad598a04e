"""What must hold whatever happened: pure functions of what clients, pods and faults noted."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.torture.clients import Beat, Sent

# Of the revisions, as `timeoutSeconds`: longer than the usual work, shorter than the endless.
TIMEOUT_SECONDS = 5
# HAProxy counts time in whole milliseconds.
_TICK_SECONDS = 0.002
# HAProxy has had the chance to drop a request when it has come round this often since its client
# left: to the client's connection, to that between its stages, and to the request.
_ROUNDS = 3
# A request may have been given to its pod, and wait there for one of a client that has left; and
# the kernel counts in ticks.
_STAGE_SECONDS = 0.05
# One that is given to a pod whose program has died waits there this much longer for the next
# program; and the agent takes this long at most to take such a pod out.
_TURNAROUND_SECONDS = 0.3
_CRASH_SECONDS = 5.0
# A pod that has been taken out, since nobody asked, takes this long at most to be back beside one
# who waits; longer only while nobody is there to bring it back, and while he catches up.
_IDLE_SECONDS = 6.0
_CATCHING_UP_SECONDS = 10.0
# From the kill of HAProxy until it listens again, on a busy machine.
_REPLACED_SECONDS = 3.0
# From the signal until the kernel has closed all sockets of a process.
_DYING_SECONDS = 0.1


@dataclass(frozen=True)
class Seen:
    """One request as a pod saw it.

    Attributes:
        at_once: requests in the pod then, this one among them.
        began: when its program took it up.
        ended: None when the pod was killed over it.
        arrived: when the kernel had it for the pod.
    """

    number: str
    process: str
    at_once: int
    began: float
    ended: float | None
    arrived: float


@dataclass(frozen=True)
class Fault:
    """What was done.

    Attributes:
        kind: `pod`, `proxy`, `control plane`, `upgrade` or `revision`.
        at: monotonic seconds.
        until: when what was killed was there again.
    """

    kind: str
    at: float
    service: str = ""
    process: str = ""
    until: float = 0.0


def read_reports(directory: Path) -> list[Seen]:
    """What all pods have seen."""
    seen: list[Seen] = []
    for path in sorted(directory.iterdir()):
        begun: dict[str, tuple[int, float, float]] = {}
        for line in path.read_text().splitlines():
            kind, number, *rest = line.split()
            if kind == "S":
                if number in begun:
                    seen.append(_seen(number, path, begun[number], None))
                begun[number] = (int(rest[0]), float(rest[1]), float(rest[2]))
            else:
                seen.append(_seen(number, path, begun.pop(number), float(rest[0])))
        seen += [_seen(number, path, start, None) for number, start in begun.items()]
    return seen


def _seen(number: str, path: Path, start: tuple[int, float, float], ended: float | None) -> Seen:
    at_once, began, arrived = start
    return Seen(number, path.name, at_once, began, ended, arrived)


def judge(
    sent: Sequence[Sent],
    seen: Sequence[Seen],
    faults: Sequence[Fault],
    limits: Mapping[str, int],
    beats: Sequence[Beat],
) -> list[str]:
    """Every breach of the invariants, in words; none is what should be.

    Args:
        limits: containerConcurrency of each service.
        beats: of HAProxy, one after the other.
    """
    by_number: dict[str, list[Seen]] = {}
    for one in seen:
        by_number.setdefault(one.number, []).append(one)
    return [
        *_beyond_limit(sent, seen, limits),
        *_twice(by_number),
        *_after_leaving(sent, by_number, beats, faults),
        *_idle_beside_waiting(sent, seen, faults),
        *_wrong_bodies(sent, by_number),
        *_unexplained(sent, by_number, faults, limits),
    ]


def _beyond_limit(
    sent: Iterable[Sent], seen: Iterable[Seen], limits: Mapping[str, int]
) -> Iterable[str]:
    service_of = {request.number: request.service for request in sent}
    for one in seen:
        limit = limits[service_of[one.number]]
        if one.at_once > limit:
            yield f"{one.process} held {one.at_once} at {one.began:.3f}, {limit} may be ({one})"


def _twice(by_number: Mapping[str, list[Seen]]) -> Iterable[str]:
    for number, all_of_it in by_number.items():
        if len(all_of_it) > 1:
            yield f"{number} reached pods {len(all_of_it)} times: {all_of_it}"


def _after_leaving(
    sent: Iterable[Sent],
    by_number: Mapping[str, list[Seen]],
    beats: Sequence[Beat],
    faults: Sequence[Fault],
) -> Iterable[str]:
    for request in sent:
        for one in by_number.get(request.number, ()) if request.left else ():
            known = _known_by(beats, request.ended)
            turnaround = _TURNAROUND_SECONDS if _met_crash(request, one, faults) else 0.0
            if one.arrived > known + _STAGE_SECONDS + turnaround:
                yield (
                    f"{request.number} reached {one.process} {one.arrived - request.ended:.3f} s "
                    f"after its client left, {one.arrived - known:.3f} s after HAProxy could know "
                    f"({request}, {one})"
                )


def _met_crash(request: Sent, one: Seen, faults: Iterable[Fault]) -> bool:
    """Whether the request may have been given to this pod while it had no program."""
    pod = one.process.rpartition(".")[0]
    return any(
        fault.kind == "pod"
        and fault.process.rpartition(".")[0] == pod
        and fault.process != one.process
        and request.sent - _CRASH_SECONDS <= fault.at <= one.arrived
        for fault in faults
    )


def _known_by(beats: Sequence[Beat], at: float) -> float:
    """When HAProxy had come round to what the kernel knew at this time."""
    for _ in range(_ROUNDS):
        place = bisect_left(beats, at, key=lambda beat: beat.asked)
        if place == len(beats):
            return float("inf")
        at = beats[place].answered
    return at


def _idle_beside_waiting(
    sent: Iterable[Sent], seen: Sequence[Seen], faults: Sequence[Fault]
) -> Iterable[str]:
    """Pods with nothing to do while a request waits that their revision got later.

    A long body may wait for the pod it was given to: HAProxy cannot send it back to the queue.
    """
    asked = {request.number: request.sent for request in sent if not request.length}
    waited = defaultdict[str, list[Seen]](list)
    worked = defaultdict[str, list[Seen]](list)
    for one in seen:
        worked[one.process].append(one)
        if one.number in asked and one.began - asked[one.number] > _IDLE_SECONDS:
            waited[_revision(one.process)].append(one)
    for process, requests in worked.items():
        for start, end in _pauses(requests):
            for one in waited[_revision(process)]:
                both = max(start, asked[one.number]), min(end, one.began)
                idle = both[1] - both[0] - _nobody_there(*both, faults)
                if idle > _IDLE_SECONDS:
                    yield f"{process} was idle for {idle:.3f} s until {end:.3f} beside {one}"


def _revision(process: str) -> str:
    return process.partition("-deployment-")[0]


def _pauses(requests: Iterable[Seen]) -> Iterator[tuple[float, float]]:
    """When a pod had nothing to do, between its requests."""
    free = float("inf")
    for one in sorted(requests, key=lambda one: one.began):
        if one.began - free > _IDLE_SECONDS:
            yield free, one.began
        ended = float("inf") if one.ended is None else one.ended
        free = ended if one.at_once == 1 else max(free, ended)


def _nobody_there(start: float, end: float, faults: Iterable[Fault]) -> float:
    """For how much of this time, at most, what brings pods back was away or catching up."""
    return sum(
        max(0.0, min(end, fault.until + _CATCHING_UP_SECONDS) - max(start, fault.at))
        for fault in faults
        if fault.kind in ("control plane", "proxy")
    )


def _wrong_bodies(sent: Iterable[Sent], by_number: Mapping[str, list[Seen]]) -> Iterable[str]:
    for request in sent:
        if request.status != 200:
            continue
        expected = f"{request.number} {request.milliseconds} {request.pod}\n"
        if request.body != expected:
            yield f"{request.number} was answered {request.body!r}, not {expected!r}"
        if not by_number.get(request.number):
            yield f"{request.number} was answered 200, and no pod has seen it"


def _unexplained(
    sent: Iterable[Sent],
    by_number: Mapping[str, list[Seen]],
    faults: Sequence[Fault],
    limits: Mapping[str, int],
) -> Iterable[str]:
    """A killed HAProxy may cost all it has, a killed pod twice its containerConcurrency.

    That is what the pod held and what HAProxy handed to it next, on connections whose end it had
    yet to hear of: the kernel closes a process's sockets one by one.

    The answer for a killed pod is 502, or, where HTTP asks for that (a request on a connection
    that has served before), the connection's end without an answer. A long body that finds no
    program cannot go back to the queue: 503, until the control plane takes the pod out.
    """
    budget: Counter[Fault] = Counter()
    for request in sorted(sent, key=lambda request: request.ended):
        if request.left or request.status == 200:
            continue
        if _is_late(request):
            continue
        reached = by_number.get(request.number, [])
        what = f"{request.number}: {request.status or request.error} at {request.ended:.3f}"
        if request.status == 0 and any(_met_proxy(request, fault) for fault in faults):
            continue
        killed = [
            fault
            for fault in faults
            if fault.kind == "pod"
            and fault.service == request.service
            and request.sent - _DYING_SECONDS <= fault.at <= request.ended
            and all(one.process == fault.process for one in reached)
        ]
        if _found_no_program(request, faults):
            continue
        if request.status in (0, 502) and killed:
            budget[killed[-1]] += 1
            if budget[killed[-1]] > 2 * limits[request.service]:
                yield f"{what}, more than a killed {killed[-1].process} may cost"
            continue
        yield f"{what}, asked at {request.sent:.3f}, seen as {reached}: no fault explains it"


def _is_late(request: Sent) -> bool:
    """Answered 504, past the limit of its revision."""
    late = request.ended - request.sent >= TIMEOUT_SECONDS - _TICK_SECONDS
    return request.status == 504 and late


def _found_no_program(request: Sent, faults: Sequence[Fault]) -> bool:
    """A long body came to a killed pod that nobody has taken out yet."""
    away = [
        (fault.at, fault.until + _CATCHING_UP_SECONDS)
        for fault in faults
        if fault.kind == "control plane"
    ]
    return bool(request.length and request.status == 503) and any(
        fault.kind == "pod"
        and fault.service == request.service
        and fault.at <= request.ended
        and _taken_out(fault.at, away) >= request.sent
        for fault in faults
    )


def _taken_out(killed: float, away: Iterable[tuple[float, float]]) -> float:
    """When a pod that was killed at this time gets no more requests."""
    return max(
        [killed + _DYING_SECONDS]
        + [back for left, back in away if left <= killed + _DYING_SECONDS and killed <= back]
    )


def _met_proxy(request: Sent, fault: Fault) -> bool:
    return (
        fault.kind == "proxy"
        and request.sent - _REPLACED_SECONDS <= fault.at <= request.ended + 0.1
    )
