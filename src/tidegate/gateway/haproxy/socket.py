"""A client of HAProxy's admin socket.

Each batch is one connection: many commands in one line, their answers in one read. Lines are
kept below HAProxy's buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from tidegate.kube.errors import InternalFault

_LONGEST_LINE = 8000
_LARGEST_ANSWER = 64 << 20
_WELCOME = ("New server registered.", "Server deleted.", "Frontend was already shut down.")


class AdminError(InternalFault):
    """HAProxy refused a command, or cannot be spoken to (`is_gone`)."""

    def __init__(self, message: str, *, is_gone: bool = False) -> None:
        super().__init__(message)
        self.is_gone = is_gone


class AdminSocket:
    """One HAProxy's admin socket; callers take turns.

    Args:
        path: of the socket.
        timeout: seconds for one batch.
    """

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self._path = path
        self._timeout = timeout
        self._turn = asyncio.Lock()

    async def read(self, *commands: str) -> str:
        """What the commands print, one after the other.

        Raises:
            AdminError: HAProxy is gone or does not answer.
        """
        return "".join([await self._exchange(line) for line in _lines(commands)])

    async def change(self, commands: Sequence[str]) -> None:
        """Run commands that print nothing of note; all are tried.

        Raises:
            AdminError: some were refused (the message has HAProxy's words), or HAProxy is gone.
        """
        refused: list[str] = []
        for line in _lines(commands):
            answer = await self._exchange(line)
            refused += [
                text
                for text in answer.splitlines()
                if text.strip() and text.strip() not in _WELCOME
            ]
        if refused:
            raise AdminError(f"HAProxy refused: {'; '.join(refused)[:2000]}")

    async def load(self, command: str, payload: str) -> str:
        """Run one command that takes lines of text; returns what it prints.

        Raises:
            AdminError: HAProxy is gone or does not answer.
        """
        # An empty line would end the text.
        lines = "\n".join(line for line in payload.splitlines() if line)
        return await self._exchange(f"{command} <<\n{lines}\n")

    async def _exchange(self, line: str) -> str:
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._exchange_now(line)
            except (OSError, TimeoutError) as error:
                raise AdminError(
                    f"no answer from HAProxy's admin socket: {error!r}", is_gone=True
                ) from error

    async def _exchange_now(self, line: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(line.encode() + b"\n")
            chunks: list[bytes] = []
            size = 0
            while chunk := await reader.read(1 << 18):
                chunks.append(chunk)
                size += len(chunk)
                if size > _LARGEST_ANSWER:
                    raise AdminError("HAProxy's answer is too large")
            return b"".join(chunks).decode(errors="replace")
        finally:
            writer.close()


def _lines(commands: Iterable[str]) -> list[str]:
    lines: list[str] = []
    current: list[str] = []
    size = 0
    for command in commands:
        if current and size + len(command) + 1 > _LONGEST_LINE:
            lines.append(";".join(current))
            current, size = [], 0
        current.append(command)
        size += len(command) + 1
    if current:
        lines.append(";".join(current))
    return lines
