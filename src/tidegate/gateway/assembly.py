"""The gateway put together: what the composition builds, runs, and asks for demand."""

from __future__ import annotations

import asyncio

from tidegate.apis.demand import DemandSource
from tidegate.apis.demand_hub import DemandHub
from tidegate.gateway.access import AccessRecords
from tidegate.gateway.agent import Agent
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.demand import Sampler
from tidegate.gateway.listener import listening
from tidegate.gateway.membership import Membership
from tidegate.gateway.places import Places
from tidegate.gateway.sessions import Sessions
from tidegate.gateway.settings import GatewaySettings, TlsSettings
from tidegate.gateway.status import Drains, RouteStatus
from tidegate.gateway.time_limits import TimeLimits
from tidegate.gateway.watchdog import Watchdog
from tidegate.kube.controller import Context

__all__ = ["Gateway", "GatewaySettings", "TlsSettings", "build"]

_MOST_NOTICE = 1 << 16


class Gateway:
    """One gateway: HAProxy and its agent."""

    def __init__(self, context: Context, settings: GatewaySettings) -> None:
        self._plane = DataPlane(settings, context.clock)
        self._hub = DemandHub(settings.name)
        self._sessions = Sessions(context.clock)
        self._sampler = Sampler(self._plane, self._hub, self._sessions, context.clock)
        self._time_limits = TimeLimits(self._plane, self._hub, context.clock)
        self.records = AccessRecords(lambda: self._sampler.lateness)
        self.records.subscribe(self._sessions.take)
        watchdog = Watchdog(self._plane, lambda: self._places.longest)
        self._membership = Membership(
            context,
            settings.name,
            watchdog,
            lease_seconds=settings.lease_seconds,
            endures=settings.endures,
        )
        self._places = Places(context, self._plane, self._membership, self._hub, settings.name)
        self._agent = Agent(
            context,
            self._plane,
            self._sampler,
            self._sessions,
            self._places,
            forget=self.records.forget,
            max_queued=settings.max_queued,
        )
        self._status = RouteStatus(context, self._agent, settings)
        self._reports = settings.reports
        self._drains = Drains(context, self._plane, settings.name)

    @property
    def demand(self) -> DemandSource:
        """What the autoscaler listens to."""
        return self._hub

    async def wait_ready(self) -> None:
        """Wait until HAProxy runs with all that the API knew at the start."""
        await self._agent.wait_ready()

    async def run(self) -> None:
        """Run until cancelled; HAProxy goes on then, see `stop_proxy`.

        Raises:
            UserError: HAProxy is missing or does not start.
        """
        paths = self._plane.paths
        async with (
            listening(paths.notice_socket, self._serve_notices),
            listening(paths.records_socket, self.records.serve),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._agent.run())
            group.create_task(self._sampler.run())
            group.create_task(self._time_limits.run())
            group.create_task(self._drains.controller.run())
            for controller in self._status.controllers if self._reports else ():
                group.create_task(controller.run())

    async def stop_proxy(self, at_once: asyncio.Event | None = None) -> None:
        """End HAProxy, whether or not `run` is running; what is in flight gets some seconds.

        Args:
            at_once: when it is set, no more of them.
        """
        await self._plane.stop_all(at_once)

    async def leave(self) -> None:
        """Tell the others that this gateway has gone for good; its HAProxy has ended."""
        await self._membership.leave()

    async def _serve_notices(self, reader: asyncio.StreamReader) -> None:
        text = await reader.read(_MOST_NOTICE)
        self._sampler.notice(text.decode(errors="replace").split())


def build(context: Context, settings: GatewaySettings) -> Gateway:
    """The gateway on its own identity's context.

    Raises:
        UserError: the data directory cannot be used, or the limit of open files is too low.
    """
    return Gateway(context, settings)
