"""Real ports for pods: every port that a pod declares gets one of its own on loopback.

A port given back rests before it is given again, so that a request still on its way to a pod that
has ended is refused and never answered by another pod.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from tidegate.kube.clock import Clock
from tidegate.kube.errors import InternalFault
from tidegate.kube.objects import Object, annotations_of

PORTS_ANNOTATION = "tidegate.dev/ports"


class PortAllocator:
    """Hands out ports of a range, round and round.

    Args:
        first, last: the range, both included.
        clock: for the rest of a port given back.
        quarantine: seconds of that rest.
        is_free: whether a port can be bound now.
    """

    def __init__(
        self,
        first: int,
        last: int,
        *,
        clock: Clock,
        quarantine: float = 120.0,
        is_free: Callable[[int], bool] | None = None,
    ) -> None:
        self._first = first
        self._last = last
        self._clock = clock
        self._quarantine = quarantine
        self._is_free = is_free or can_bind
        self._next = first
        self._taken: set[int] = set()
        self._resting: dict[int, float] = {}

    def allocate(self) -> int:
        """A port that nobody has.

        Raises:
            InternalFault: the whole range is taken.
        """
        self._wake_rested()
        for _ in range(self._last - self._first + 1):
            port = self._next
            self._next = port + 1 if port < self._last else self._first
            if port in self._taken or port in self._resting:
                continue
            if self._is_free(port):
                self._taken.add(port)
                return port
        raise InternalFault(f"no free port between {self._first} and {self._last}")

    def hold(self, ports: Iterable[int]) -> None:
        """Mark ports as taken that a pod has from before."""
        self._taken.update(ports)

    def release(self, ports: Iterable[int]) -> None:
        """Give ports back."""
        until = self._clock.monotonic() + self._quarantine
        for port in ports:
            if port in self._taken:
                self._taken.discard(port)
                self._resting[port] = until

    def _wake_rested(self) -> None:
        now = self._clock.monotonic()
        for port in [port for port, until in self._resting.items() if until <= now]:
            del self._resting[port]


def can_bind(port: int) -> bool:
    """Whether a program could listen on 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def real_ports_of(pod: Object) -> dict[int, int]:
    """The pod's container ports and their real ports, from its annotation."""
    text = annotations_of(pod).get(PORTS_ANNOTATION)
    if not text:
        return {}
    try:
        ports: Any = json.loads(text)
        return {int(key): int(value) for key, value in cast("dict[str, int]", ports).items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def ports_annotation(ports: Mapping[int, int]) -> str:
    """The annotation's value."""
    return json.dumps({str(key): value for key, value in sorted(ports.items())})
