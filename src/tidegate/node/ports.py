"""Real ports for pods: every port that a pod declares gets one of its own on loopback.

A port given back rests before it is given again, so that a request still on its way to a pod that
has ended is refused and never answered by another pod.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Protocol

from tidegate.kube.clock import Clock
from tidegate.kube.errors import InternalFault
from tidegate.node.port_claims import MachineClaims


class Claims(Protocol):
    """How ports are kept apart from those of other platforms on the machine."""

    def claim(self, port: int) -> bool:
        """Make `port` ours; False when it is somebody else's."""
        ...

    def hold(self, port: int) -> None:
        """Make `port` ours although a pod of ours listens there already."""
        ...

    def drop(self, port: int) -> None:
        """Let others have `port`."""
        ...

    def close(self) -> None:
        """Let others have all of them."""
        ...


class PortAllocator:
    """Hands out ports of a range, round and round.

    Args:
        first, last: the range, both included.
        clock: for the rest of a port given back.
        quarantine: seconds of that rest.
        claims: for ports that other platforms may want.
        start: where to begin; by default anywhere in the range, because the rests of ports given
            back by an earlier control plane are not known.
    """

    def __init__(
        self,
        first: int,
        last: int,
        *,
        clock: Clock,
        quarantine: float = 120.0,
        claims: Claims | None = None,
        start: int | None = None,
    ) -> None:
        self._first = first
        self._last = last
        self._clock = clock
        self._quarantine = quarantine
        self._claims = claims or MachineClaims()
        self._next = random.randint(first, last) if start is None else start  # noqa: S311
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
            if self._claims.claim(port):
                self._taken.add(port)
                return port
        raise InternalFault(f"no free port between {self._first} and {self._last}")

    def take(self, port: int) -> bool:
        """Give out this very port, in the range or not; False when somebody has it.

        It need not have rested: none but the pod's own containers are led to such a port.
        """
        if port in self._taken or not self._claims.claim(port):
            return False
        self._resting.pop(port, None)
        self._taken.add(port)
        return True

    def hold(self, ports: Iterable[int]) -> None:
        """Mark ports as taken that a pod has from before."""
        for port in ports:
            self._claims.hold(port)
            self._taken.add(port)

    def release(self, ports: Iterable[int]) -> None:
        """Give ports back."""
        until = self._clock.monotonic() + self._quarantine
        for port in ports:
            if port in self._taken:
                self._taken.discard(port)
                self._resting[port] = until

    def return_unused(self, ports: Iterable[int]) -> None:
        """Give ports back that no pod has had; they need no rest."""
        for port in ports:
            self._taken.discard(port)
            self._claims.drop(port)

    def close(self) -> None:
        """Give up the claims; pods that run hold their ports themselves."""
        self._claims.close()

    def _wake_rested(self) -> None:
        now = self._clock.monotonic()
        for port in [port for port, until in self._resting.items() if until <= now]:
            del self._resting[port]
            self._claims.drop(port)
