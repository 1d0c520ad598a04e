"""The pictures of the last run, within a bound of memory."""

from __future__ import annotations

MOST_BYTES = 256 * 1024 * 1024


class ImageShelf:
    """Holds pictures by request number; the oldest go when the bound is exceeded."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._held: dict[int, bytes] = {}
        self._bytes = 0

    def put(self, number: int, image: bytes) -> None:
        """Keep a picture."""
        self._held[number] = image
        self._bytes += len(image)
        while self._bytes > self._most:
            oldest = next(iter(self._held))
            self._bytes -= len(self._held.pop(oldest))

    def get(self, number: int) -> bytes | None:
        """The picture of a request, None if it has none or it had to go."""
        return self._held.get(number)
