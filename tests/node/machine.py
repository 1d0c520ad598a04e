"""A machine's ports without sockets, for tests of what is decided about them."""

from __future__ import annotations


class Machine:
    """The claims of a machine on which others have taken some ports."""

    def __init__(self, taken: tuple[int, ...] = ()) -> None:
        self._others = taken
        self.ours: set[int] = set()

    def claim(self, port: int) -> bool:
        if port in self._others:
            return False
        self.ours.add(port)
        return True

    def hold(self, port: int) -> None:
        self.ours.add(port)

    def drop(self, port: int) -> None:
        self.ours.discard(port)

    def close(self) -> None:
        self.ours.clear()
