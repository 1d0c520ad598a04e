"""`tidegate gateway`: one more gateway before the pods of a platform, in a process of its own."""

from __future__ import annotations

import asyncio
from functools import partial

import uvloop

from tidegate.apis.gateway_leases import NAMESPACE, is_name
from tidegate.cli.process import background, readiness, running
from tidegate.cli.process.readiness import READY, Announcer
from tidegate.cli.records.files import prepare_data_dir
from tidegate.cli.records.further import OWN, Further
from tidegate.cli.terminal import err, escape
from tidegate.gateway import assembly as gateway
from tidegate.gateway.assembly import Gateway
from tidegate.kube.clock import SystemClock
from tidegate.kube.controller import Context
from tidegate.kube.errors import ApiError, NotFound, ServiceUnavailable, UserError
from tidegate.kube.informer import Informers
from tidegate.kube.remote import RemoteClient, connect
from tidegate.kube.resources import LEASES


def check_name(name: str) -> None:
    """See that a further gateway can be called so.

    Raises:
        UserError: it cannot.
    """
    if name == OWN:
        raise UserError(f"{name!r} is the platform's own gateway: choose another --name")
    if not is_name(name):
        raise UserError(
            f"{name!r} is no name for a gateway: lower-case letters, digits and dashes, 48 at most"
        )


def run_in_background(further: Further) -> None:
    """Start it as a process of its own and wait until it serves.

    Raises:
        UserError: it cannot start; the message says why.
    """
    _prepare(further)
    if (pid := further.running_pid) is not None:
        raise further.already_running(pid)
    background.start(
        ["gateway", *_arguments(further)],
        log_file=further.log_file,
        what=f"the gateway {further.name}",
    )


def run_in_foreground(further: Further) -> None:
    """Run until SIGTERM (its HAProxy goes on) or SIGINT (all of it ends).

    Raises:
        UserError: it cannot start; the message says why.
    """
    with readiness.announcing() as announcer:
        _prepare(further)
        running.configure_logging(further.log_file)
        with further.hold():
            running.use_all_descriptors()
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(further, announcer))


async def stop_proxy(further: Further) -> None:
    """End the HAProxy of one whose agent has ended, and tell the platform if it is there."""
    async with connect(further.kubeconfig) as client:
        await _end(_gateway(_context(client), further), further, asyncio.Event())


def _prepare(further: Further) -> None:
    _check_authority(further)
    prepare_data_dir(further.door.directory)


def _check_authority(further: Further) -> None:
    door = further.door
    if door.https_port and not door.tls_certificate and not (door.pki / "ca.key").is_file():
        raise UserError(
            f"HTTPS needs certificates: give --tls-cert and --tls-key, for the platform's"
            f" authority, which could sign some, is not in {door.pki}"
        )


async def _serve(further: Further, announcer: Announcer) -> None:
    async with connect(further.kubeconfig) as client:
        await _check_platform(client, further)
        context = _context(client)
        doors = _gateway(context, further)

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(context.informers.run())
                group.create_task(doors.run())
                await doors.wait_ready()
                said = f"gateway {further.name} answers at {further.door.addresses}"
                if not announcer.is_heard:
                    err.print(escape(said), soft_wrap=True)
                announcer.stage(said)
                announcer.stage(READY)

        await running.until_signalled(work(), stop=partial(_end, doors, further))


async def _check_platform(client: RemoteClient, further: Further) -> None:
    """See that there is a platform, unless our HAProxy goes on from before: it is waited for then.

    Raises:
        UserError: there is none, or it does not let us in.
    """
    try:
        await client.list(LEASES, namespace=NAMESPACE)
    except ServiceUnavailable as error:
        if not (further.door.directory / "gateway" / "haproxy.pid").exists():
            raise UserError(
                f"the platform of {further.kubeconfig} does not answer: start it with"
                f" `tidegate up -d`, or name another with --kubeconfig ({error})"
            ) from error
    except NotFound as error:
        raise UserError(
            f"{further.kubeconfig} is of no Tidegate platform: name another with --kubeconfig"
        ) from error


async def _end(doors: Gateway, further: Further, at_once: asyncio.Event) -> None:
    await doors.stop_proxy(at_once)
    further.forget()
    try:
        await doors.leave()
    except ApiError as error:
        err.print(f"the platform was not told: {escape(str(error))}", soft_wrap=True)


def _context(client: RemoteClient) -> Context:
    clock = SystemClock()
    return Context(client, Informers(client, clock=clock), clock)


def _gateway(context: Context, further: Further) -> Gateway:
    return gateway.build(context, further.door.further(further.name))


def _arguments(further: Further) -> list[str]:
    return [
        f"--name={further.name}",
        f"--data-dir={further.data_dir}",
        f"--kubeconfig={further.kubeconfig}",
        f"--port={further.door.port}",
        *further.door.options,
    ]
