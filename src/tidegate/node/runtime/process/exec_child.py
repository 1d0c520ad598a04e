"""The first moments of a command's process: a program of its own that then becomes the command.

Its parent has put it in a session of its own. Here it takes the terminal, where it has one, asks to
be killed when the control plane dies, for nobody else would end it then, and joins the container:
its files and its user.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys
import termios
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.node.runtime.process import sandbox
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    import sandbox

_PR_SET_PDEATHSIG = 1


def main(joining: dict[str, Any], argv: list[str]) -> None:
    """Become the command `argv` in the container that `joining` describes."""
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    try:
        sandbox.join(joining["pid"], joining["isolation"])
        os.chdir(joining["cwd"])
    except OSError as error:
        sys.stderr.write(f"cannot join the container: {error}\n")
        sys.exit(126)
    # The ends of its streams in the control plane's numbering come along; a daemon that the
    # command leaves would keep them open, and its client waiting.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o022)
    # After the change of user, which would undo it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The interpreter ignores it, programs expect the default.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the command of whoever may exec into the pod
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        sys.exit(126)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
