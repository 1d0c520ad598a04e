"""What is measured: the shapes in which a gateway hands over requests and loads.

They are protocols, so that no part has to know another: whoever composes the platform passes in
whatever has these attributes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tidegate.kube.objects import Key


class Request(Protocol):
    """One answered request. Times in milliseconds, -1 where the phase was not reached."""

    @property
    def revision(self) -> Key | None:
        """None when no route matched."""
        ...

    @property
    def pod(self) -> str:
        """Empty when the request reached none."""
        ...

    @property
    def status(self) -> int:
        """Of the answer, -1 when there was none."""
        ...

    @property
    def termination(self) -> str:
        """Begins with `C` when the client left before the end."""
        ...

    @property
    def queued_ms(self) -> int:
        """From arrival until it went to a pod."""
        ...

    @property
    def total_ms(self) -> int:
        """From arrival until the last byte of the answer."""
        ...

    @property
    def cold_start(self) -> float:
        """Seconds it was held for want of any pod, 0 if it was not."""
        ...

    @property
    def held_since(self) -> float:
        """When it began to be held, seconds since the epoch; 0 if it was not."""
        ...


class RequestSource(Protocol):
    """Tells of requests in batches, on the event loop."""

    def subscribe(self, subscriber: Callable[[Sequence[Request]], None]) -> Callable[[], None]:
        """Call `subscriber` with every batch; returns what ends that."""
        ...


class Load(Protocol):
    """What a revision's clients want at one instant."""

    @property
    def revision(self) -> Key: ...

    @property
    def in_flight(self) -> int:
        """Requests that pods are working on."""
        ...

    @property
    def queued(self) -> int:
        """Requests that wait for a free slot of a pod."""
        ...

    @property
    def held(self) -> int:
        """Requests that wait because there is no pod at all."""
        ...


class LoadSource(Protocol):
    """Tells of loads as they change."""

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Load]]:
        """Loads as they change; a slow reader gets only the latest of each revision."""
        ...
