"""Which gateways there are, and which of them renew their Leases: as anybody can see it."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.apis import gateway_leases as leases
from tidegate.kube.clock import Clock
from tidegate.kube.controller import Context
from tidegate.kube.objects import Object
from tidegate.kube.resources import LEASES

MemberHandler = Callable[[Object | None, Object | None], None]


class Renewals:
    """Since when Leases have not been renewed, by the reader's own clock alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}

    def silent_for(self, lease: Object) -> float:
        """Seconds since this renewal was seen here first."""
        name, renewed = leases.gateway_named(lease), leases.renewed_at(lease)
        now = self._clock.monotonic()
        known = self._seen.get(name)
        if known is None or known[0] != renewed:
            known = self._seen[name] = (renewed, now)
        return now - known[1]


class Members:
    """The Leases of all gateways.

    Args:
        context: of the part that asks.
    """

    def __init__(self, context: Context) -> None:
        self._informer = context.informers.of(
            LEASES, namespace=leases.NAMESPACE, label_selector=leases.GATEWAY
        )
        self._renewals = Renewals(context.clock)
        self._handlers: list[MemberHandler] = []
        self._informer.add_handler(self._changed)

    def add_handler(self, handler: MemberHandler) -> None:
        """Call `handler` with each Lease, as it was and as it is, when it has changed."""
        self._handlers.append(handler)

    async def wait_synced(self) -> None:
        """Wait until all that there were at the start are known."""
        await self._informer.wait_synced()

    @property
    def names(self) -> frozenset[str]:
        """Those that have a Lease, silent ones too."""
        return frozenset(map(leases.gateway_named, self._informer.items()))

    def lease_of(self, name: str) -> Object | None:
        """The Lease of that gateway."""
        return self._informer.get(leases.lease_of_gateway(name), leases.NAMESPACE)

    def silent_for(self, lease: Object) -> float:
        """Seconds since its Lease has run out, below 0 while it holds."""
        return self._renewals.silent_for(lease) - leases.duration_of(lease)

    def is_alive(self, name: str) -> bool:
        """Whether that gateway renews its Lease."""
        lease = self.lease_of(name)
        return lease is not None and self.silent_for(lease) <= 0

    def _changed(self, old: Object | None, new: Object | None) -> None:
        lease = new if new is not None else old
        if lease is None:
            return
        self._renewals.silent_for(lease)
        for handler in self._handlers:
            handler(old, new)
