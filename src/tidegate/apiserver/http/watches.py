"""A watch as a response: lines of JSON until the client, its time limit or a 410 ends it."""

from __future__ import annotations

import random

import orjson

from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.query import flag, number
from tidegate.apiserver.http.views import View
from tidegate.apiserver.watching import Watch
from tidegate.kube.clock import Clock
from tidegate.kube.errors import ApiError, Gone

_MIN_SECONDS = 1800.0
_BOOKMARK_SECONDS = 60.0
# After a write, what comes in this time goes out together: with many watchers of many changes
# nearly all the cost is per write. A change after a quiet time goes out at once.
_GATHER_SECONDS = 0.03


def time_limit(exchange: Exchange) -> float:
    """Seconds after which the watch ends: what the client says, else half an hour to an hour."""
    asked = number(exchange.query, "timeoutSeconds")
    # Spread out, so that watches begun together do not all come back together.
    return float(asked) if asked else _MIN_SECONDS * (1 + random.random())  # noqa: S311


async def pump(exchange: Exchange, watch: Watch, view: View, clock: Clock, seconds: float) -> None:
    """Write events as they come."""
    bookmarks = flag(exchange.query, "allowWatchBookmarks")
    end = clock.monotonic() + seconds
    next_bookmark = clock.monotonic() + _BOOKMARK_SECONDS
    try:
        while (left := end - clock.monotonic()) > 0:
            events = await watch.next(min(left, _BOOKMARK_SECONDS))
            lines = [view.line(event) for event in events]
            if bookmarks and clock.monotonic() >= next_bookmark:
                lines.append(view.line(watch.bookmark()))
                next_bookmark = clock.monotonic() + _BOOKMARK_SECONDS
            if lines:
                await exchange.write(b"".join(lines))
                await clock.sleep(_GATHER_SECONDS)
    except Gone as error:
        await exchange.write(error_line(error))


def error_line(error: ApiError) -> bytes:
    """The event that tells a watcher why it ends."""
    return b'{"type":"ERROR","object":%s}\n' % orjson.dumps(error.status())
