"""`tidegate down`: end everything a platform runs, whether or not its control plane is alive."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from pathlib import Path

from tidegate.cli.records import further
from tidegate.cli.records.further import Further
from tidegate.cli.records.settings import load
from tidegate.cli.terminal import err
from tidegate.kube.errors import InternalFault

_TIMEOUT_SECONDS = 30.0


def stop(data_dir: Path) -> None:
    """Stop further gateways, the control plane, so that nothing starts anew, pods and the gateway.

    Raises:
        UserError: there never was a platform in `data_dir`.
        InternalFault: the control plane does not end.
    """
    settings = load(data_dir)
    _stop_gateways(further.all_of(data_dir))
    pid = settings.running_pid
    if pid is not None:
        err.print(f"stopping the control plane (process {pid})")
        _end(pid, signal.SIGTERM)
    if not settings.kubeconfig.exists():
        err.print("it has never come up: there is nothing to stop")
        return
    from tidegate.cli.process.platform import stop_all

    err.print("stopping pods and gateway")
    asyncio.run(stop_all(settings))
    err.print("stopped")


def _stop_gateways(gateways: list[Further]) -> None:
    """End the further ones while the control plane can be told that they are gone."""
    for one in gateways:
        err.print(f"stopping the gateway {one.name}")
        pid = one.running_pid
        if pid is not None:
            _end(pid, signal.SIGINT)
        if one in further.all_of(one.data_dir):
            # Its agent had ended before, or did not come to an end by itself.
            from tidegate.cli.commands.gateway import stop_proxy

            asyncio.run(stop_proxy(one))


def _end(pid: int, number: signal.Signals) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, number)
        if not _ended(descriptor, _TIMEOUT_SECONDS):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if not _ended(descriptor, _TIMEOUT_SECONDS):
                raise InternalFault(f"process {pid} does not end, even when killed")
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _ended(descriptor: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(seconds * 1000))
