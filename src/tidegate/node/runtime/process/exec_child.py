"""The first moments of a command's process: a program of its own that then becomes the command.

Its parent has put it in a session of its own. Here it takes the terminal, where it has one, and
asks to be killed when the control plane dies: nobody else would end it then.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import termios

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Become the command `argv`."""
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The interpreter ignores it, programs expect the default.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the command of whoever may exec into the pod
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        sys.exit(126)


if __name__ == "__main__":
    main(sys.argv[1:])
