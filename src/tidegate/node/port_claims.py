"""Claims on ports that every platform on this machine respects, so that no two give out the same.

A port that nobody listens on yet may still belong to a pod of another platform that is about to
start. A claim is an abstract socket of the port's name: the kernel gives it to one process alone
and takes it back when the process ends, however it ends. From then on the pod itself holds the
port.
"""

from __future__ import annotations

import errno
import socket


class MachineClaims:
    """The claims of this process."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def claim(self, port: int) -> bool:
        """Make `port` ours; False when another platform has it or a program listens there."""
        if not can_bind(port):
            return False
        return self._take(port)

    def hold(self, port: int) -> None:
        """Make `port` ours although a pod of ours listens there already."""
        self._take(port)

    def drop(self, port: int) -> None:
        """Let others have `port`."""
        claimed = self._held.pop(port, None)
        if claimed is not None:
            claimed.close()

    def close(self) -> None:
        """Let others have all of them."""
        for port in list(self._held):
            self.drop(port)

    def _take(self, port: int) -> bool:
        if port in self._held:
            return True
        claimed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claimed.bind(f"\0tidegate-port-{port}")
        except OSError as error:
            claimed.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        self._held[port] = claimed
        return True


def can_bind(port: int) -> bool:
    """Whether a program could listen on 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
