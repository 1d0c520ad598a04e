"""What must hold whatever happened: pure functions of what clients, pods and faults noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.torture.clients import Sent

# A pod may begin with a request this long after its client has left: the machine is busy, and
# HAProxy learns of the leaving as its loop comes round.
_NOTICE_SECONDS = 0.5
# From the kill of HAProxy until it listens again, on a busy machine.
_REPLACED_SECONDS = 3.0
# From the signal until the kernel has closed all sockets of a process.
_DYING_SECONDS = 0.1


@dataclass(frozen=True)
class Seen:
    """One request as a pod saw it; `ended` is None when the pod was killed over it."""

    number: str
    process: str
    at_once: int
    began: float
    ended: float | None


@dataclass(frozen=True)
class Fault:
    """What was done: `kind` is `pod`, `proxy`, `control plane` or `revision`; `at` monotonic."""

    kind: str
    at: float
    service: str = ""
    process: str = ""


def read_reports(directory: Path) -> list[Seen]:
    """What all pods have seen."""
    seen: list[Seen] = []
    for path in sorted(directory.iterdir()):
        begun: dict[str, tuple[int, float]] = {}
        for line in path.read_text().splitlines():
            kind, number, *rest = line.split()
            if kind == "S":
                if number in begun:
                    seen.append(Seen(number, path.name, *begun[number], None))
                begun[number] = (int(rest[0]), float(rest[1]))
            else:
                seen.append(Seen(number, path.name, *begun.pop(number), float(rest[0])))
        seen += [Seen(number, path.name, *start, None) for number, start in begun.items()]
    return seen


def judge(
    sent: Sequence[Sent], seen: Sequence[Seen], faults: Sequence[Fault], limits: Mapping[str, int]
) -> list[str]:
    """Every breach of the invariants, in words; none is what should be.

    Args:
        limits: containerConcurrency of each service.
    """
    by_number: dict[str, list[Seen]] = {}
    for one in seen:
        by_number.setdefault(one.number, []).append(one)
    return [
        *_beyond_limit(sent, seen, limits),
        *_twice(by_number),
        *_after_leaving(sent, by_number),
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


def _after_leaving(sent: Iterable[Sent], by_number: Mapping[str, list[Seen]]) -> Iterable[str]:
    for request in sent:
        for one in by_number.get(request.number, ()):
            if request.left and one.began > request.ended + _NOTICE_SECONDS:
                late = one.began - request.ended
                yield f"{request.number} reached {one.process} {late:.3f} s after its client left"


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
    that has served before), the connection's end without an answer.
    """
    budget: Counter[Fault] = Counter()
    for request in sorted(sent, key=lambda request: request.ended):
        if request.left or request.status == 200:
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
        if request.status in (0, 502) and killed:
            budget[killed[-1]] += 1
            if budget[killed[-1]] > 2 * limits[request.service]:
                yield f"{what}, more than a killed {killed[-1].process} may cost"
            continue
        yield f"{what}, asked at {request.sent:.3f}, seen as {reached}: no fault explains it"


def _met_proxy(request: Sent, fault: Fault) -> bool:
    return (
        fault.kind == "proxy"
        and request.sent - _REPLACED_SECONDS <= fault.at <= request.ended + 0.1
    )
