"""`tidegate gateway`: one more gateway before the pods of a platform, in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tidegate.apis.gateway_leases import is_name
from tidegate.cli import preflight
from tidegate.cli.platform import first
from tidegate.cli.terminal import err, escape
from tidegate.gateway import assembly as gateway
from tidegate.gateway.assembly import Gateway, GatewaySettings
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.errors import ApiError, UserError
from tidegate.kube.informer import Informers
from tidegate.kube.remote import connect


@dataclass(frozen=True)
class OneMore:
    """Where a further gateway listens and keeps its files.

    Attributes:
        name: unlike that of every other gateway of the platform.
        directory: for its HAProxy alone; the same at every start.
        kubeconfig: of the platform's API, None for the environment's.
        bind, port: where clients connect.
        pool: revisions with and without a limit, and pods of those with one, that it can serve.
    """

    name: str
    directory: Path
    kubeconfig: Path | None
    bind: str
    port: int
    pool: int


def run(settings: OneMore) -> None:
    """Run until SIGTERM (its HAProxy goes on) or SIGINT (all of it ends).

    Raises:
        UserError: it cannot start.
    """
    if not is_name(settings.name):
        raise UserError(
            f"{settings.name!r} is no name for a gateway: lower-case letters, digits and dashes"
        )
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    preflight.prepare_data_dir(settings.directory)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: OneMore) -> None:
    async with connect(settings.kubeconfig) as client:
        clock = SystemClock()
        context = Context(client, Informers(client, clock=clock), clock)
        doors = gateway.build(
            context,
            GatewaySettings(
                settings.directory,
                bind=settings.bind,
                port=settings.port,
                limited_slots=settings.pool,
                unlimited_slots=settings.pool,
                stages=settings.pool,
                name=settings.name,
                reports=False,
            ),
        )
        if await _until_signalled(context, doors, settings) == signal.SIGINT:
            await doors.stop_proxy()
            try:
                await doors.leave()
            except ApiError as error:
                err.print(f"the platform was not told: {escape(str(error))}")


async def _until_signalled(
    context: Context, doors: Gateway, settings: OneMore
) -> signal.Signals | None:
    received: list[signal.Signals] = []

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(context.informers.run())
            group.create_task(doors.run())
            await doors.wait_ready()
            err.print(f"gateway {settings.name} answers at http://{settings.bind}:{settings.port}")

    task = asyncio.create_task(work())

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    except BaseExceptionGroup as group:
        raise first(group) from group
    return received[0] if received else None
