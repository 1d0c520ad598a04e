"""Which gateways there are: each keeps a Lease, and watches those of the others.

A gateway that is not alone promises, in its Lease, when its HAProxy gives out no more requests if
nobody renews, and when it has ended what pods had then; HAProxy keeps that promise by itself.
Once the time is over, another gateway deletes the Lease, and with that its places are free. One
that endures promises nothing while it is alone: its HAProxy goes on without a control plane for
ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from tidegate.apis import gateway_leases as leases
from tidegate.apis.gateway_members import Members
from tidegate.gateway.haproxy.socket import AdminError
from tidegate.gateway.watchdog import Watchdog
from tidegate.kube.clock import rfc3339_micro
from tidegate.kube.controller import Context
from tidegate.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from tidegate.kube.objects import Object, resource_version_of
from tidegate.kube.resources import LEASES
from tidegate.kube.waiting import within

logger = logging.getLogger(__name__)

# Renewals within the time that a Lease holds; as long as one of them is waited in addition, for
# clocks that run at different speeds and requests on their way.
_RENEWALS = 6
_RETRY_SECONDS = 1.0


class Membership:
    """One gateway among the others.

    Args:
        context: the gateway's own.
        name: of this gateway.
        watchdog: what makes HAProxy keep the promise.
        lease_seconds: for how long a renewal holds.
        endures: whether nothing is promised while no other gateway is there.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        watchdog: Watchdog,
        *,
        lease_seconds: int,
        endures: bool,
    ) -> None:
        self._client = context.client
        self._clock = context.clock
        self._name = name
        self._watchdog = watchdog
        self._seconds = lease_seconds
        self._endures = endures
        self._members = Members(context)
        self._members.add_handler(self._changed)
        self._handlers: list[Callable[[], None]] = []
        self._lapse_handlers: list[Callable[[], None]] = []
        self._renewed = ""
        self._promised: int | None = None
        self._valid_until = 0.0
        self._has_kept = True
        self._wake = asyncio.Event()
        self._entered = asyncio.Event()

    def on_change(self, handler: Callable[[], None]) -> None:
        """Call `handler` when gateways have come, gone, or fallen silent."""
        self._handlers.append(handler)

    def on_lapse(self, handler: Callable[[], None]) -> None:
        """Call `handler` when others may have taken this gateway's places."""
        self._lapse_handlers.append(handler)

    @property
    def others(self) -> frozenset[str]:
        """The other gateways that may have places, silent ones too."""
        return self._members.names - {self._name}

    def is_alive(self, name: str) -> bool:
        """Whether that gateway renews its Lease."""
        return self._members.is_alive(name)

    def has_stopped(self, name: str) -> bool:
        """Whether that gateway's HAProxy gives no more requests to limited revisions.

        It has promised so for the time when its Lease has run out.
        """
        lease = self._members.lease_of(name)
        if lease is None or leases.ends_within(lease) is None:
            return False
        return self._members.silent_for(lease) >= leases.duration_of(lease) / _RENEWALS

    @property
    def has_kept_lease(self) -> bool:
        """Whether this gateway's Lease was there at the start, and has been ever since.

        If not, others may have had every reason to believe that nothing is this gateway's.
        """
        return self._has_kept

    async def is_gone(self, name: str) -> bool:
        """Whether that gateway has no Lease, as of now."""
        try:
            await self._client.get(
                LEASES, leases.lease_of_gateway(name), namespace=leases.NAMESPACE
            )
        except NotFound:
            return True
        return False

    async def wait_entered(self) -> None:
        """Wait until this gateway's Lease is there, and all that came before it are known."""
        await self._entered.wait()

    async def leave(self) -> None:
        """Give the Lease back: HAProxy has ended, so that nothing is left in any pod."""
        try:
            await self._client.delete(
                LEASES, leases.lease_of_gateway(self._name), namespace=leases.NAMESPACE
            )
        except NotFound:
            return

    async def run(self) -> None:
        """Renew until cancelled."""
        await self._members.wait_synced()
        while True:
            pause = self._seconds / _RENEWALS
            try:
                await self._renew()
            except (ApiError, AdminError) as error:
                logger.warning("gateway: Lease not renewed: %s", error)
                pause = min(_RETRY_SECONDS, pause)
            await self._wait(pause)
            await self._bury()

    async def _wait(self, seconds: float) -> None:
        """Until it is time to renew, or gateways have come or gone."""
        await within(seconds, self._wake.wait(), clock=self._clock)
        self._wake.clear()

    async def _renew(self) -> None:
        began = self._clock.monotonic()
        has_lapsed = self._promised is not None and began > self._valid_until
        shares = bool(self.others) or not self._endures
        promised = self._watchdog.ends_within() if shares else None
        if promised is not None:
            # HAProxy must know of a promise before anybody else does.
            await self._watchdog.keep(self._seconds, promised)
        is_first = not self._renewed
        was_there = await self._write(promised)
        self._valid_until = began + self._seconds
        self._has_kept = self._has_kept and was_there
        if promised is None and self._promised is not None:
            await self._watchdog.let_go()
        self._promised = promised
        if has_lapsed or not (is_first or was_there):
            logger.warning("gateway: the Lease had run out: taking places anew")
            for handler in self._lapse_handlers:
                handler()

    async def _write(self, promised: int | None) -> bool:
        """Write the Lease; returns whether it was there."""
        name, renewed = (
            leases.lease_of_gateway(self._name),
            rfc3339_micro(self._clock.time()),
        )
        self._renewed = renewed
        metadata: dict[str, Any] = {
            "labels": {leases.GATEWAY: self._name},
            "annotations": {leases.ENDS_WITHIN: None if promised is None else str(promised)},
        }
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": self._seconds,
            "renewTime": renewed,
        }
        body = {"metadata": metadata, "spec": spec}
        try:
            await self._client.patch(LEASES, name, body, namespace=leases.NAMESPACE)
        except NotFound:
            metadata |= {"name": name, "namespace": leases.NAMESPACE}
            metadata["annotations"] = {
                key: text for key, text in metadata["annotations"].items() if text is not None
            }
            lease: Object = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, **body}
            try:
                await self._client.create(LEASES, lease)
            except AlreadyExists:
                return await self._write(promised)
            return False
        return True

    def _changed(self, old: Object | None, new: Object | None) -> None:
        lease = new if new is not None else old
        if lease is None:
            return
        name = leases.gateway_named(lease)
        if name == self._name:
            if new is None:
                self._wake.set()
            elif leases.renewed_at(new) == self._renewed:
                self._entered.set()
            return
        if old is None or new is None:
            self._wake.set()
            self._tell()

    def _tell(self) -> None:
        for handler in self._handlers:
            handler()

    async def _bury(self) -> None:
        """Delete the Leases of gateways that cannot have anything in pods any more."""
        for name in sorted(self.others):
            lease = self._members.lease_of(name)
            if lease is None or self._members.is_alive(name):
                continue
            self._tell()
            promised, silent = leases.ends_within(lease), self._members.silent_for(lease)
            if promised is None or silent < promised + leases.duration_of(lease) / _RENEWALS:
                continue
            logger.warning("gateway: %s is gone for good: its places are free", name)
            try:
                await self._client.delete(
                    LEASES,
                    leases.lease_of_gateway(name),
                    namespace=leases.NAMESPACE,
                    resource_version=resource_version_of(lease),
                )
            except (NotFound, Conflict):
                continue
            except ApiError as error:
                logger.warning("gateway: Lease of %s: %s", name, error)
