"""Several cores at a batch: one thread for each part of it, one core for each operation.

Faster than several threads within each operation, most of which are short, and much faster where
other programs take the cores away at times, as no thread waits for another before the step's end.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn


class Cores:
    """Gradients of a batch, a part of it on each core."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count)

    def gradients(
        self, loss_of: Callable[..., Tensor], parameters: list[nn.Parameter], *batch: Tensor
    ) -> float:
        """Set the parameters' gradients of the mean loss, and return it."""
        jobs = [
            self._pool.submit(part_of, loss_of, parameters, [b[k :: self._count] for b in batch])
            for k in range(self._count)
        ]
        losses, found = zip(*(job.result() for job in jobs))
        total = found[0]
        for other in found[1:]:
            torch._foreach_add_(total, other)
        torch._foreach_div_(total, self._count)
        for parameter, gradient in zip(parameters, total):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        return sum(losses) / self._count


def part_of(
    loss_of: Callable[..., Tensor], parameters: list[nn.Parameter], batch: list[Tensor]
) -> tuple[float, list[Tensor]]:
    torch.set_num_threads(1)
    loss = loss_of(*batch)
    return loss.item(), list(torch.autograd.grad(loss, parameters))
