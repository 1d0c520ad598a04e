"""Writing a pod's status: changes that matter at once, the others together a little later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tidegate.kube.errors import ApiError, NotFound
from tidegate.kube.objects import Object, name_of, namespace_of, uid_of
from tidegate.kube.resources import PODS
from tidegate.kube.waiting import first_of
from tidegate.node.lifecycle.host import Host

logger = logging.getLogger(__name__)

# A pod that becomes ready within this time after its start costs one write in all.
_GATHER_SECONDS = 0.25
_RETRY_SECONDS = 1.0


class StatusReporter:
    """Keeps the status in the API equal to what `build` says.

    Args:
        host: for the client and the clock.
        read: the pod as last seen.
        build: its status now.
        written: told the pod as the API answered it.
    """

    def __init__(
        self,
        host: Host,
        *,
        read: Callable[[], Object],
        build: Callable[[], Object],
        written: Callable[[Object], None],
    ) -> None:
        self._host = host
        self._read = read
        self._build = build
        self._written = written
        self._last: Object | None = None
        self._dirty = asyncio.Event()
        self._urgent = asyncio.Event()
        self._writing = asyncio.Lock()

    def changed(self, *, urgent: bool) -> None:
        """Something is different; `urgent` when others wait for it."""
        self._dirty.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._dirty.wait()
            if not self._urgent.is_set():
                await first_of(self._urgent.wait(), self._host.clock.sleep(_GATHER_SECONDS))
            try:
                await self.flush()
            except NotFound:
                return
            except ApiError as error:
                logger.warning("status of pod %s: %s; again soon", name_of(self._read()), error)
                await self._host.clock.sleep(_RETRY_SECONDS)

    async def flush(self) -> None:
        """Write now what is not written yet; what fails is left to `run`. Raises ApiError."""
        async with self._writing:
            self._dirty.clear()
            self._urgent.clear()
            status = self._build()
            if status == self._last:
                return
            pod = self._read()
            try:
                answer = await self._host.client.patch(
                    PODS,
                    name_of(pod),
                    {"metadata": {"uid": uid_of(pod)}, "status": status},
                    namespace=namespace_of(pod),
                    subresource="status",
                )
            except BaseException:
                self._dirty.set()
                raise
            self._last = status
            self._written(answer)
