"""Which pods gateways that have been lost may still have requests in.

A gateway without an entry on a revision's Lease may have everything there. One whose Lease has run
out has stopped by itself, though: it gives nothing more to limited revisions, so it can have
nothing in a pod that was not there yet. Which were there is read once, after it has stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tidegate.gateway.membership import Membership
from tidegate.gateway.reading import REVISION_LABEL
from tidegate.kube.controller import Context
from tidegate.kube.errors import ApiError
from tidegate.kube.objects import Key, key_of
from tidegate.kube.resources import PODS

logger = logging.getLogger(__name__)


class Stopped:
    """The gateways that have stopped, each with the pods that there were.

    Args:
        context: the gateway's own.
        membership: which gateways there are; it tells at every renewal of those that are silent.
        changed: called when more is known.
    """

    def __init__(
        self, context: Context, membership: Membership, changed: Callable[[], None]
    ) -> None:
        self._client = context.client
        self._membership = membership
        self._changed = changed
        self._pods: dict[str, frozenset[Key]] = {}
        self._wake = asyncio.Event()
        membership.on_change(self._wake.set)

    def may_have(self, gateway: str, pod: Key) -> bool:
        """Whether a gateway that has said nothing about its places may have requests there."""
        known = self._pods.get(gateway)
        return known is None or pod in known or not self._membership.has_stopped(gateway)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._look()
            except ApiError as error:
                # Told of again at the next renewal.
                logger.warning("gateway: pods of gateways that have stopped: %s", error)

    async def _look(self) -> None:
        stopped = set(filter(self._membership.has_stopped, self._membership.others))
        for gateway in self._pods.keys() - stopped:
            del self._pods[gateway]
        new = stopped - self._pods.keys()
        if not new:
            return
        # Not the cache, which may be behind: what is read now was there when they had stopped.
        found = await self._client.list(PODS, label_selector=REVISION_LABEL)
        pods = frozenset(map(key_of, found.items))
        self._pods.update((gateway, pods) for gateway in new)
        self._changed()
