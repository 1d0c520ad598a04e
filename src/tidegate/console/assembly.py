"""The console put together: what the composition builds and runs."""

from __future__ import annotations

import asyncio

from tidegate.console.access import Guard, load_or_make_token
from tidegate.console.catalog import Catalog
from tidegate.console.pages import Pages
from tidegate.console.presenter import Presenter
from tidegate.console.pulse import Pulse
from tidegate.console.server import GRACE_SECONDS, configuration
from tidegate.console.settings import ConsoleSettings, LogReader, UsageSource
from tidegate.kube.controller import Context
from tidegate.observability.assembly import Observability
from tidegate.web.server import HttpServer, listen

__all__ = ["Console", "ConsoleSettings", "build"]


class Console:
    """The web console. `run` serves until cancelled."""

    def __init__(
        self,
        context: Context,
        settings: ConsoleSettings,
        *,
        observability: Observability,
        usages: UsageSource,
        logs: LogReader,
    ) -> None:
        self._token = load_or_make_token(settings.token_file)
        self._listener = listen(
            settings.bind, settings.port, purpose="the console", option="--console-port"
        )
        self._host = settings.bind
        self.port: int = self._listener.getsockname()[1]
        self._pulse = Pulse(context.clock)
        self._catalog = Catalog(context.informers, self._pulse.beat)
        guard = Guard(self._token, port=self.port, host_names=settings.host_names)
        pages = Pages(
            guard=guard,
            catalog=self._catalog,
            presenter=Presenter(
                self._catalog,
                store=observability.store,
                cold_starts=observability.cold_starts,
                usages=usages,
                clock=context.clock,
            ),
            observability=observability,
            logs=logs,
            pulse=self._pulse,
        )
        self._server = HttpServer(
            configuration(pages.app),
            self._listener,
            on_stop=self._pulse.close,
            grace=GRACE_SECONDS,
        )

    @property
    def url(self) -> str:
        """Where it is, for people who have its cookie."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    @property
    def login_url(self) -> str:
        """Opens it in a browser; whoever has this URL may read everything the console shows."""
        return f"{self.url}?token={self._token}"

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            await self._catalog.wait_synced()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pulse.run())
                group.create_task(self._server.run())
        finally:
            self._listener.close()

    async def wait_ready(self) -> None:
        """Return as soon as it answers."""
        await self._server.wait_ready()


def build(
    context: Context,
    settings: ConsoleSettings,
    *,
    observability: Observability,
    usages: UsageSource,
    logs: LogReader,
) -> Console:
    """The console on its own identity's context; the composition runs the informers.

    Args:
        usages: what pods have used, running ones first, then the latest that ended.
        logs: the containers' output.

    Raises:
        UserError: the address is taken, or the token cannot be kept.
    """
    return Console(context, settings, observability=observability, usages=usages, logs=logs)
