"""Many pods made or ended by one reconcile at once, some of which the API may refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from tidegate.kube.errors import ApiError
from tidegate.kube.objects import Object

# Bounds the writes of one reconcile; the rest follows in the next.
BURST = 500


async def attempt(
    works: Iterable[Coroutine[Any, Any, Object]],
) -> tuple[list[Object], ApiError | None]:
    """What came of those that succeeded, and the first refusal by the API."""
    done: list[Object] = []
    failure: ApiError | None = None
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, ApiError):
            failure = failure or result
        elif isinstance(result, BaseException):
            raise result
        else:
            done.append(result)
    return done, failure
