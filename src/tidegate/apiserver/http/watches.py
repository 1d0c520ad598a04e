"""A watch as a response: events until the client, its time limit or a 410 ends it.

Over HTTP they are lines of JSON, over a WebSocket messages.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import orjson

from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.query import flag, number
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.views import View
from tidegate.apiserver.http.websockets import WebSocket
from tidegate.apiserver.watching import Watch
from tidegate.kube.clock import Clock
from tidegate.kube.errors import ApiError, Gone

_MIN_SECONDS = 1800.0
_BOOKMARK_SECONDS = 60.0
# After a write, what comes in this time goes out together: with many watchers of many changes
# nearly all the cost is per write. A change after a quiet time goes out at once.
_GATHER_SECONDS_PER_WATCHER = 0.0005
_MAX_GATHER_SECONDS = 0.1

Send = Callable[[list[bytes]], Awaitable[None]]


class Watches:
    """Sends the events of watches.

    Args:
        streams: runs them.
        clock: for their time limits and bookmarks.
    """

    def __init__(self, streams: Streams, clock: Clock) -> None:
        self._streams = streams
        self._clock = clock

    async def serve(self, exchange: Exchange, watch: Watch, view: View) -> None:
        """Answer with everything that `watch` sees."""
        socket = exchange.socket
        if socket is not None:
            exchange.code = 101
            await socket.accept(next(iter(socket.offered), None))
            producer = self._converse(exchange, watch, view, socket)
            await self._streams.hold(producer, socket.read())
            return

        async def send(lines: list[bytes]) -> None:
            await exchange.write(b"".join(lines))

        await exchange.start(200, view.content_type)
        await self._streams.run(exchange, self._pump(exchange, watch, view, send))

    async def refuse(self, exchange: Exchange, error: ApiError, view: View) -> None:
        """Tell a watcher by an event, as if it came later, why there are none."""
        socket = exchange.socket
        if socket is None:
            await exchange.reply((_error_line(error),), content_type=view.content_type)
            return
        exchange.code = 101
        await socket.accept(next(iter(socket.offered), None))
        await socket.send_text(_error_line(error))
        await socket.close()

    async def _converse(
        self, exchange: Exchange, watch: Watch, view: View, socket: WebSocket
    ) -> None:
        async def send(lines: list[bytes]) -> None:
            for line in lines:
                await socket.send_text(line)

        await self._pump(exchange, watch, view, send)
        await socket.close()

    async def _pump(self, exchange: Exchange, watch: Watch, view: View, send: Send) -> None:
        clock = self._clock
        bookmarks = flag(exchange.query, "allowWatchBookmarks")
        end = clock.monotonic() + _time_limit(exchange)
        next_bookmark = clock.monotonic() + _BOOKMARK_SECONDS
        try:
            while (left := end - clock.monotonic()) > 0:
                events = await watch.next(min(left, _BOOKMARK_SECONDS))
                lines = [view.line(event) for event in events]
                if bookmarks and clock.monotonic() >= next_bookmark:
                    lines.append(view.line(watch.bookmark()))
                    next_bookmark = clock.monotonic() + _BOOKMARK_SECONDS
                if lines:
                    await send(lines)
                    await clock.sleep(self._gather_seconds())
        except Gone as error:
            await send([_error_line(error)])

    def _gather_seconds(self) -> float:
        return min(self._streams.count * _GATHER_SECONDS_PER_WATCHER, _MAX_GATHER_SECONDS)


def _time_limit(exchange: Exchange) -> float:
    """Seconds after which the watch ends: what the client says, else half an hour to an hour."""
    asked = number(exchange.query, "timeoutSeconds")
    # Spread out, so that watches begun together do not all come back together.
    return float(asked) if asked else _MIN_SECONDS * (1 + random.random())  # noqa: S311


def _error_line(error: ApiError) -> bytes:
    return b'{"type":"ERROR","object":%s}\n' % orjson.dumps(error.status())
