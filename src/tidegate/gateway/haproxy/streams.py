"""Reading what HAProxy prints of its streams: one line for each, and one of them at length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.gateway.haproxy.state import parse_stat

_LINE = re.compile(
    r"^(0x[0-9a-f]+): proto=\S+ src=(\S+) fe=(\S+) be=(\S+) srv=(\S+) .* age=(\w+) .*"
    r" scb=\[(\d+),.* rc=(\d+) ",
    re.MULTILINE,
)
_BLOCK = re.compile(r"^(?=0x[0-9a-f]+: \[)", re.MULTILINE)
_HEAD = re.compile(r"^(0x[0-9a-f]+): \[[^\]]*:(\d\d\.\d+)\]")
_AGE = re.compile(r" age=(\w+)\)")
_MESSAGES = re.compile(r" req\.st=(\w+) rsp\.st=(\w+) ")
_PART = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ESTABLISHED = 8
_FRONTENDS = frozenset(("again", "park"))
_NO_POD = frozenset(("park", "next", "<none>"))


@dataclass(frozen=True)
class Stream:
    """One request on its way through HAProxy.

    Attributes:
        id: HAProxy's; once the stream has ended another may get it.
        source: address and port of the client, `unix:...` for one that comes from another frontend.
        proxy, server: where it goes.
        retries: how often it has been sent back to the queue.
        is_with_pod: the server is a pod's, and has the request.
        age: seconds, give or take one.
    """

    id: str
    source: str
    proxy: str
    server: str
    retries: int
    is_with_pod: bool
    age: int


def parse_streams(text: str) -> Iterator[Stream]:
    """The requests of `show sess` that HAProxy does not end by itself, second stages left out."""
    for match in _LINE.finditer(text):
        id_, source, frontend, proxy, server, age, state, retries = match.groups()
        if frontend in _FRONTENDS:
            is_with_pod = int(state) == _ESTABLISHED and server not in _NO_POD
            yield Stream(id_, source, proxy, server, int(retries), is_with_pod, _seconds(age))


def has_watched(text: str) -> bool:
    """Whether `show stat -1 1 -1` tells of requests that HAProxy does not end by itself."""
    frontends = (row for row in parse_stat(text) if row.server == "FRONTEND")
    return any(row.proxy == "again" and row.current > 0 for row in frontends)


@dataclass(frozen=True)
class Progress:
    """How far a request and its answer are; age in seconds, to the microsecond."""

    age: float
    is_sent: bool
    is_answered: bool


def parse_progress(text: str, now: float) -> dict[str, Progress]:
    """Progress by stream, of one or several `show sess <id>`.

    Args:
        text: what HAProxy printed.
        now: HAProxy's time of day.
    """
    found: dict[str, Progress] = {}
    for block in _BLOCK.split(text)[1:]:
        head, age, messages = _HEAD.match(block), _AGE.search(block), _MESSAGES.search(block)
        if head and age and messages:
            found[head[1]] = Progress(
                age=_exact(_seconds(age[1]), now - float(head[2])),
                is_sent=messages[1] == "MSG_DONE",
                is_answered=messages[2] != "MSG_RPBEFORE",
            )
    return found


def _exact(age: int, difference: float) -> float:
    """The age near `age` that the seconds within their minutes tell, whatever the time zone."""
    return max(age + (difference - age + 30) % 60 - 30, 0.0)


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
