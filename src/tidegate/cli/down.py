"""`tidegate down`: end everything a platform runs, whether or not its control plane is alive."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from pathlib import Path

from tidegate.cli import preflight
from tidegate.cli.settings import load
from tidegate.cli.terminal import err
from tidegate.kube.errors import InternalFault

_TIMEOUT_SECONDS = 30.0


def stop(data_dir: Path) -> None:
    """Stop the control plane first, so that nothing starts anew, then pods and the gateway.

    Raises:
        UserError: there never was a platform in `data_dir`.
        InternalFault: the control plane does not end.
    """
    settings = load(data_dir)
    pid = preflight.running_pid(settings)
    if pid is not None:
        err.print(f"stopping the control plane (process {pid})")
        _terminate(pid)
    from tidegate.cli.platform import stop_all

    err.print("stopping pods and gateway")
    asyncio.run(stop_all(settings))
    err.print("stopped")


def _terminate(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
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
