"""`tidegate up`: start the platform, in the foreground or in the background."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from logging.handlers import RotatingFileHandler

from tidegate.cli import preflight, readiness
from tidegate.cli import settings as records
from tidegate.cli.readiness import Announcer, StartError
from tidegate.cli.settings import Settings
from tidegate.cli.terminal import err, escape
from tidegate.kube.errors import UserError

_START_TIMEOUT_SECONDS = 60.0
_LOG_BYTES = 20 * 1024 * 1024
_LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def run_in_background(settings: Settings) -> None:
    """Start the platform as a process of its own and wait until it serves.

    Raises:
        UserError: it cannot start; the message says why.
    """
    preflight.prepare_data_dir(settings.data_dir)
    if (pid := preflight.running_pid(settings)) is not None:
        raise preflight.already_running(settings, pid)
    read_end, write_end = os.pipe()
    started = time.monotonic()
    with settings.log_file.open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "tidegate.cli.main", "up", *background_arguments(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=readiness.environment_for(write_end),
            pass_fds=(write_end,),
            start_new_session=True,
        )
    os.close(write_end)
    try:
        for stage in readiness.stages(read_end, timeout=_START_TIMEOUT_SECONDS):
            line = f"[dim]{time.monotonic() - started:6.2f} s[/]  {escape(stage)}"
            err.print(line, soft_wrap=True)
    except StartError as error:
        raise UserError(f"the platform did not start: {error} (log: {settings.log_file})") from (
            error
        )
    finally:
        os.close(read_end)


def run_in_foreground(settings: Settings) -> None:
    """Run the platform until SIGTERM or SIGINT.

    SIGTERM ends the control plane alone, so that it can be replaced while pods and gateway go
    on; SIGINT, which is what Ctrl-C sends, ends everything.

    Raises:
        UserError: it cannot start; the message says why.
    """
    announcer = Announcer()
    try:
        preflight.prepare_data_dir(settings.data_dir)
        _configure_logging(settings)
        with preflight.hold_data_dir(settings):
            preflight.check_restored(settings)
            preflight.check_ports(settings)
            records.save(settings)
            # Everything heavy is imported here, so that other commands start quickly.
            from tidegate.cli.platform import run

            run(settings, announcer)
    except UserError as error:
        announcer.failed(str(error))
        raise
    except Exception as error:
        announcer.failed(f"{type(error).__name__}: {error}")
        raise


def _configure_logging(settings: Settings) -> None:
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = logging.StreamHandler()
    else:
        handler = RotatingFileHandler(settings.log_file, maxBytes=_LOG_BYTES, backupCount=2)
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    root.addHandler(handler)
    for noisy in ("httpx", "httpcore", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def background_arguments(settings: Settings) -> list[str]:
    """What `tidegate up` is given again, in a process of its own."""
    arguments = [
        f"--data-dir={settings.data_dir}",
        f"--bind={settings.bind}",
        f"--api-port={settings.api_port}",
        f"--gateway-port={settings.gateway_port}",
        f"--console-port={settings.console_port}",
        f"--https-port={settings.https_port}",
        f"--max-revisions={settings.max_revisions}",
    ]
    if settings.tls_certificate and settings.tls_key:
        arguments += [f"--tls-cert={settings.tls_certificate}", f"--tls-key={settings.tls_key}"]
    given = [path for path in settings.image_dirs if path not in records.shipped_images()]
    return arguments + [f"--images={path}" for path in given]
