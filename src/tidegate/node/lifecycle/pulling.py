"""Getting a container's image, over all that can be missing, for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.kube.waiting import within
from tidegate.node.images.errors import ImageError
from tidegate.node.images.store import Image
from tidegate.node.lifecycle.backoff import BackOff
from tidegate.node.lifecycle.context import PodContext
from tidegate.node.lifecycle.state import Waiting

# How long ErrImagePull shows before it becomes ImagePullBackOff.
_ERROR_SECONDS = 1.0

# How often a pod that waits for an unknown image looks whether it has become known.
_LOOK_SECONDS = 1.0


class _AbsentError(ImageError):
    """The image would have to be unpacked first."""


class ImagePull:
    """Pulls the image of one container; the back-off lasts over its restarts.

    Args:
        context: its pod.
        reference: `image` of the container.
        never: its pull policy is Never: only an image that is unpacked may be used.
        failed: told what the container waits for after a failure.
    """

    def __init__(
        self,
        context: PodContext,
        reference: str,
        *,
        never: bool,
        failed: Callable[[Waiting], None],
    ) -> None:
        self._context = context
        self._host = context.host
        self._reference = reference
        self._never = never
        self._failed = failed
        self._back_off = BackOff(free=0)

    async def pull(self) -> Image:
        """The image, its environment built and its template warm."""
        while True:
            began = self._host.clock.monotonic()
            try:
                if self._never:
                    await self._require_present()
                else:
                    self._event("Pulling", f'Pulling image "{self._reference}"')
                image = await self._host.images.pull(self._reference)
                await self._host.runtime.prepare(image)
            except _AbsentError as error:
                await self._wait_for_it(str(error))
            except ImageError as error:
                await self._wait_after(str(error))
            else:
                if self._never:
                    text = f'Container image "{self._reference}" already present on machine'
                    self._event("Pulled", text)
                    return image
                took = self._host.clock.monotonic() - began
                text = f'Successfully pulled image "{self._reference}" in {took:.3f}s'
                self._event("Pulled", text)
                return image

    async def _require_present(self) -> None:
        try:
            present = await self._host.images.is_present(self._reference)
        except ImageError:
            present = False
        if not present:
            raise _AbsentError(
                f'Container image "{self._reference}" is not present with pull policy of Never'
            )

    async def _wait_for_it(self, message: str) -> None:
        self._host.events.warning(self._context.pod, "ErrImageNeverPull", message)
        self._failed(Waiting("ErrImageNeverPull", message))
        await self._host.clock.sleep(self._back_off.next_delay())

    async def _wait_after(self, message: str) -> None:
        text = f'Failed to pull image "{self._reference}": {message}'
        self._host.events.warning(self._context.pod, "Failed", text)
        self._failed(Waiting("ErrImagePull", message))
        await self._host.clock.sleep(_ERROR_SECONDS)
        back_off = f'Back-off pulling image "{self._reference}"'
        self._event("BackOff", back_off)
        self._failed(Waiting("ImagePullBackOff", f"{back_off}: {message}"))
        delay = self._back_off.next_delay() - _ERROR_SECONDS
        await within(delay, self._becomes_known(), clock=self._host.clock)

    async def _becomes_known(self) -> None:
        """Wait until an image that was not known is known."""
        was_known = await self._is_known()
        while was_known or not await self._is_known():
            await self._host.clock.sleep(_LOOK_SECONDS)

    async def _is_known(self) -> bool:
        try:
            await self._host.images.find(self._reference)
        except ImageError:
            return False
        return True

    def _event(self, reason: str, message: str) -> None:
        self._host.events.normal(self._context.pod, reason, message)
