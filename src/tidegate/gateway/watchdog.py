"""Makes HAProxy keep, without its agent, what the gateway's Lease promises the others."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.gateway.dataplane import DataPlane


class Watchdog:
    """The one in the HAProxy of `plane`, and in those before it.

    Args:
        plane: the HAProxy.
        longest: seconds that the longest request of a limited revision may take.
    """

    def __init__(self, plane: DataPlane, longest: Callable[[], int]) -> None:
        self._plane = plane
        self._longest = longest

    def ends_within(self) -> int:
        """Seconds in which all that pods have has ended, once they get nothing new."""
        return self._longest()

    async def keep(self, seconds: int, ends_within: int) -> None:
        """Go on for so long, and end what is left `ends_within` seconds later.

        Raises:
            AdminError: HAProxy does not take it.
        """
        await self._plane.keep_places(seconds, ends_within)

    async def let_go(self) -> None:
        """Go on for ever.

        Raises:
            AdminError: HAProxy does not take it.
        """
        await self._plane.keep_places(0, 0)
