"""What must hold before a platform starts, each failure with what to do about it."""

from __future__ import annotations

import errno
import socket

from tidegate.cli.records.settings import Settings
from tidegate.kube.errors import UserError


def check_restored(settings: Settings) -> None:
    """See that no restore was cut short in the middle.

    Raises:
        UserError: one was; parts of the data directory are older than others.
    """
    if settings.restoring_file.exists():
        raise UserError(
            f"a restore into {settings.data_dir} was cut short: run `tidegate restore --force`"
            " again"
        )


def check_ports(settings: Settings) -> None:
    """See that the ports of this process are free.

    The gateway's port is not among them: a gateway that goes on from before holds it.

    Raises:
        UserError: see `check_port`.
    """
    bind = settings.bind
    check_port(bind, settings.api_port, option="--api-port", purpose="Kubernetes API")
    check_port(bind, settings.console_port, option="--console-port", purpose="console")


def check_port(bind: str, port: int, *, option: str, purpose: str) -> None:
    """See that `port` is free.

    Raises:
        UserError: it is taken, may not be used, or `bind` is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            advice = {
                errno.EADDRINUSE: f"choose another with {option} (or --bind), or stop what uses it",
                errno.EACCES: f"choose one above 1023 with {option}, or ask for the right to it",
            }.get(error.errno or 0, "give an address of this machine with --bind")
            raise UserError(
                f"cannot listen on {bind}:{port} for the {purpose}: {error.strerror}; {advice}"
            ) from error
