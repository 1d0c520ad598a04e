"""A process of ours in the background: started apart; the command waits until it serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tidegate.cli.process import readiness
from tidegate.cli.process.readiness import StartError
from tidegate.cli.terminal import err, escape
from tidegate.kube.errors import UserError

_START_TIMEOUT_SECONDS = 60.0


def start(arguments: Sequence[str], *, log_file: Path, what: str) -> None:
    """Run `tidegate` with these arguments in a session of its own; return when it is ready.

    Args:
        arguments: the command and its options.
        log_file: where its output goes.
        what: it is, for the message.

    Raises:
        UserError: it does not start; the message says why.
    """
    read_end, write_end = os.pipe()
    started = time.monotonic()
    try:
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tidegate.cli.entry", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=readiness.environment_for(write_end),
                pass_fds=(write_end,),
                start_new_session=True,
            )
    except OSError as error:
        raise UserError(
            f"cannot start {what} with its log in {log_file}: {error.strerror}"
        ) from error
    finally:
        os.close(write_end)
    try:
        for stage in readiness.stages(read_end, timeout=_START_TIMEOUT_SECONDS):
            line = f"[dim]{time.monotonic() - started:6.2f} s[/]  {escape(stage)}"
            err.print(line, soft_wrap=True)
    except KeyboardInterrupt:
        # What the user has called off is not to go on where it cannot be seen.
        process.send_signal(signal.SIGINT)
        err.print(f"called off: {what} is stopped again")
        raise
    except StartError as error:
        process.send_signal(signal.SIGINT)
        raise UserError(f"{what} did not start: {error} (log: {log_file})") from error
    finally:
        os.close(read_end)
