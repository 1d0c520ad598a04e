"""The audit log: one JSON line per request that changes something or is refused.

Bounded: a file that is full becomes `audit.log.1`, and so on up to the number kept. Lines are
written by one thread behind a bounded queue, so that a slow disk never holds a request up; what
does not fit is counted and the count written when there is room again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from pathlib import Path
from typing import Any

import orjson

from tidegate.apiserver.requests import User
from tidegate.kube.clock import Clock, rfc3339_micro

logger = logging.getLogger(__name__)

_MAX_BYTES = 16 * 1024 * 1024
_KEPT = 4
_MAX_WAITING = 10_000
_READS = frozenset(("get", "list", "watch"))


class AuditLog:
    """Appends to `path`; `run` does the writing.

    Args:
        path: of the current file.
        clock: for the timestamps.
        max_bytes: size at which a new file begins.
        kept: how many full files stay.
    """

    def __init__(
        self, path: Path, *, clock: Clock, max_bytes: int = _MAX_BYTES, kept: int = _KEPT
    ) -> None:
        self._path = path
        self._clock = clock
        self._max_bytes = max_bytes
        self._kept = kept
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._wake = asyncio.Event()

    def record(
        self, *, user: User | None, verb: str, method: str, uri: str, source: str, code: int
    ) -> None:
        """Note one finished request; plain reads that succeeded are left out."""
        if verb in _READS and code < 400:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._lost += 1
            return
        entry: dict[str, Any] = {
            "time": rfc3339_micro(self._clock.time()),
            "user": user.name if user else "",
            "groups": user.groups if user else (),
            "verb": verb,
            "method": method,
            "uri": uri,
            "source": source,
            "code": code,
        }
        self._waiting.append(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
        self._wake.set()

    async def run(self) -> None:
        """Write what is recorded until cancelled, and then what is left."""
        writing: asyncio.Future[None] | None = None
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._take()))
                await asyncio.shield(writing)
        finally:
            if writing is not None:
                await writing
            self._write(self._take())

    def _take(self) -> bytes:
        lines = b"".join(self._waiting)
        self._waiting.clear()
        if self._lost:
            lines += orjson.dumps({"lost": self._lost}, option=orjson.OPT_APPEND_NEWLINE)
            self._lost = 0
        return lines

    def _write(self, lines: bytes) -> None:
        if not lines:
            return
        try:
            if self._path.exists() and self._path.stat().st_size + len(lines) > self._max_bytes:
                self._rotate()
            if not self._path.exists():
                self._path.touch(mode=0o600)
            with self._path.open("ab") as stream:
                stream.write(lines)
        except OSError as error:
            logger.warning("the audit log %s cannot be written: %s", self._path, error)

    def _rotate(self) -> None:
        for index in range(self._kept, 0, -1):
            source = self._numbered(index - 1)
            if source.exists():
                source.replace(self._numbered(index))

    def _numbered(self, index: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{index}") if index else self._path
