"""Reading what HAProxy prints: statistics, servers, maps and the park's counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Columns of `show stat`, as the CSV's head names them.
_PROXY, _SERVER, _QUEUED, _CURRENT, _TOTAL, _STATUS = 0, 1, 2, 4, 7, 17

_MAINTENANCE = 0x01 | 0x02 | 0x20


@dataclass(frozen=True)
class Row:
    """One line of `show stat`: a server, or a whole backend (`server` is `BACKEND`).

    `is_open` says of a frontend that it takes connections.
    """

    proxy: str
    server: str
    queued: int
    current: int
    total: int
    is_open: bool = False


@dataclass(frozen=True)
class ServerState:
    """One line of `show servers state`; address and port are empty for a stage's socket.

    `maxconn` is 0 for one that was not set by us.
    """

    proxy: str
    name: str
    address: str
    port: int
    is_maintenance: bool
    maxconn: int = 0


def parse_stat(text: str) -> Iterator[Row]:
    """The rows of one or several `show stat`."""
    for line in text.splitlines():
        if not line or line[0] == "#":
            continue
        fields = line.split(",", _STATUS + 1)
        if len(fields) > _STATUS:
            yield Row(
                fields[_PROXY],
                fields[_SERVER],
                int(fields[_QUEUED] or 0),
                int(fields[_CURRENT] or 0),
                int(fields[_TOTAL] or 0),
                fields[_STATUS] == "OPEN",
            )


def parse_servers(text: str) -> Iterator[ServerState]:
    """The servers of `show servers state`, the parks left out."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 20 or fields[0] == "#" or fields[3] == "park":
            continue
        admin = int(fields[6])
        address = "" if fields[4] == "-" else fields[4]
        yield ServerState(
            proxy=fields[1],
            name=fields[3],
            address=address,
            port=int(fields[18]),
            is_maintenance=bool(admin & _MAINTENANCE),
        )


def parse_map(text: str) -> dict[str, str]:
    """Key and value of each entry of `show map <file>`."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        fields = line.split(" ", 2)
        if len(fields) == 3 and fields[0].startswith("0x"):
            entries[fields[1]] = fields[2]
    return entries


def parse_park(text: str) -> dict[str, int]:
    """Requests held per slot, of `show park`."""
    held: dict[str, int] = {}
    for line in text.splitlines():
        slot, _, number = line.partition(" ")
        if number.isdigit():
            held[slot] = int(number)
    return held


def parse_now(text: str) -> float | None:
    """HAProxy's own time of `show park`, seconds since the epoch."""
    word, _, number = text.partition("\n")[0].partition(" ")
    return float(number) if word == "now" else None


def parse_info(text: str) -> dict[str, str]:
    """`show info` as a mapping."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value for name, found, value in pairs if found}
