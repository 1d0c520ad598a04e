"""The GPUs of this machine, handed out whole: a pod that has one has it alone.

A pod gets those that its limits ask for, and waits for them; a pod with a GPU spec that asks for
none gets those of its spec if they are free, and runs without otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

GPU_RESOURCE = "nvidia.com/gpu"

_DRIVER = Path("/proc/driver/nvidia/gpus")


class Gpus:
    """Which GPUs are free. Indexes are those of `nvidia-smi`."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = set(range(count))

    def set_count(self, count: int) -> None:
        """The machine has been looked at: it has so many."""
        self._free.update(range(self.count, count))
        self.count = count

    def take(self, wanted: int) -> tuple[int, ...] | None:
        """The `wanted` lowest free ones, or None when there are too few."""
        if wanted > len(self._free):
            return None
        taken = tuple(sorted(self._free)[:wanted])
        self._free.difference_update(taken)
        return taken

    def take_free(self, wanted: int) -> tuple[int, ...]:
        """Up to `wanted`, as many as are free."""
        return self.take(min(wanted, len(self._free))) or ()

    def hold(self, indexes: Iterable[int]) -> None:
        """Mark as taken what a pod has from before."""
        self._free.difference_update(indexes)

    def release(self, indexes: Iterable[int]) -> None:
        """Give back."""
        self._free.update(index for index in indexes if index < self.count)


async def count_gpus(*, timeout: float = 10.0) -> int:
    """How many NVIDIA GPUs the driver shows; 0 without a driver, or with one that hangs.

    Args:
        timeout: seconds that `nvidia-smi` may take.
    """
    with contextlib.suppress(OSError):
        return len(await asyncio.to_thread(lambda: list(_DRIVER.iterdir())))
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(timeout):
            return len((await _list_gpus()).splitlines())
    return 0


async def _list_gpus() -> bytes:
    process = await asyncio.create_subprocess_exec(
        "nvidia-smi",
        "--list-gpus",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output if process.returncode == 0 else b""
