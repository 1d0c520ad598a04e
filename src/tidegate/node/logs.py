"""Reading the containers' logs, which are kept as the Container Runtime Interface prescribes:
`<time> <stream> <F|P> <text>`, F ending a line and P being a part of one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tidegate.kube.clock import Clock, parse_rfc3339
from tidegate.kube.errors import BadRequest, NotFound
from tidegate.kube.informer import Informer
from tidegate.kube.objects import Object, uid_of
from tidegate.node.lifecycle.directory import PodDirectory

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class LogLine:
    """One record: its time as written, its text, and whether it ends a line."""

    time: str
    text: bytes
    ends: bool

    @property
    def seconds(self) -> float:
        # Nanoseconds are more than Python reads.
        return parse_rfc3339(f"{self.time[:26]}Z")


class LogSource:
    """The logs of this node's pods.

    Args:
        data_dir: the platform's data directory.
        pods: the informer of all pods.
        clock: for following.
    """

    def __init__(self, data_dir: Path, pods: Informer, *, clock: Clock) -> None:
        self._data_dir = data_dir
        self._pods = pods
        self._clock = clock

    async def stream(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        follow: bool = False,
        tail_lines: int | None = None,
        since_seconds: float | None = None,
        previous: bool = False,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> AsyncGenerator[bytes]:
        """The container's output, in pieces of whole lines.

        Args:
            container: may be left out for a pod with one container.
            follow: go on until the container has ended.
            tail_lines: only so many lines from the end.
            since_seconds: only lines of that age.
            previous: of the start before the current one.
            timestamps: each line preceded by its time.
            limit_bytes: end after so many bytes.

        Raises:
            NotFound: no such pod, or no log yet.
            BadRequest: no such container, or none named where there are several.
        """
        place = await self._find(namespace, pod, container, previous=previous)
        since = None if since_seconds is None else self._clock.time() - since_seconds
        reader = _Reader(place)
        try:
            lines = _chosen(await asyncio.to_thread(reader.read_all), tail_lines, since)
            left = limit_bytes
            while True:
                data = _render(lines, timestamps)[:left]
                left = None if left is None else left - len(data)
                if data:
                    yield data
                if left == 0 or not follow:
                    return
                ended = await asyncio.to_thread(self._has_ended, place)
                lines = await asyncio.to_thread(reader.read)
                if ended and not lines:
                    return
                if not lines:
                    await self._clock.sleep(_POLL_SECONDS)
        finally:
            reader.close()

    async def _find(self, namespace: str, pod: str, container: str, *, previous: bool) -> Path:
        obj = self._pods.get(pod, namespace)
        if obj is None:
            raise NotFound(f'pods "{pod}" not found', resource="pods", name=pod)
        name = _container_name(obj, container)
        directory = PodDirectory(self._data_dir, uid_of(obj))
        attempts = await asyncio.to_thread(directory.attempts, name)
        attempts = [n for n in attempts if (directory.attempt(name, n) / "log").exists()]
        wanted = attempts[-2:-1] if previous else attempts[-1:]
        if not wanted:
            if previous:
                raise BadRequest(f'previous terminated container "{name}" in pod "{pod}" not found')
            raise BadRequest(
                f'container "{name}" in pod "{pod}" is waiting to start: ContainerCreating'
            )
        return directory.attempt(name, wanted[0])

    def _has_ended(self, place: Path) -> bool:
        if (place / "exit.json").exists():
            return True
        later = place.with_name(str(int(place.name) + 1))
        return later.exists() or not place.exists()


class _Reader:
    """Reads a log on from where it stopped: over its rotation, and to its end when it is removed.

    All methods block, so call them in a thread.
    """

    def __init__(self, place: Path) -> None:
        self._path = place / "log"
        self._file: BinaryIO | None = None
        self._rest = b""

    def read_all(self) -> list[LogLine]:
        """Everything there is, with what was rotated away last."""
        rotated = Path(f"{self._path}.1")
        before = rotated.read_bytes() if rotated.exists() else b""
        return self._lines(before + self._read_new())

    def read(self) -> list[LogLine]:
        """What has been written since."""
        return self._lines(self._read_new())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read_new(self) -> bytes:
        data = self._file.read() if self._file is not None else b""
        if self._is_replaced():
            # Written between the read above and the rotation.
            data += self._file.read() if self._file is not None else b""
            self.close()
            self._file = self._path.open("rb")
            data += self._file.read()
        return data

    def _is_replaced(self) -> bool:
        try:
            current = self._path.stat().st_ino
        except FileNotFoundError:
            return False
        return self._file is None or os.fstat(self._file.fileno()).st_ino != current

    def _lines(self, data: bytes) -> list[LogLine]:
        *complete, self._rest = (self._rest + data).split(b"\n")
        return [line for line in map(_parse, complete) if line is not None]


def _parse(record: bytes) -> LogLine | None:
    parts = record.split(b" ", 3)
    if len(parts) < 3:
        return None
    text = parts[3] if len(parts) == 4 else b""
    return LogLine(parts[0].decode(errors="replace"), text, parts[2] == b"F")


def _chosen(lines: list[LogLine], tail: int | None, since: float | None) -> list[LogLine]:
    if since is not None:
        lines = [line for line in lines if line.seconds >= since]
    if tail is None:
        return lines
    ends = [index for index, line in enumerate(lines) if line.ends]
    whole = len(ends) + (1 if lines and not lines[-1].ends else 0)
    skip = whole - tail
    return lines[ends[skip - 1] + 1 :] if skip > 0 and tail > 0 else lines if tail else []


def _render(lines: list[LogLine], timestamps: bool) -> bytes:
    parts: list[bytes] = []
    begins = True
    for line in lines:
        if timestamps and begins:
            parts.append(f"{line.time} ".encode())
        parts.append(line.text)
        if line.ends:
            parts.append(b"\n")
        begins = line.ends
    return b"".join(parts)


def _container_name(pod: Object, wanted: str) -> str:
    spec = pod["spec"]
    names = [str(c["name"]) for c in spec["containers"]]
    init = [str(c["name"]) for c in spec.get("initContainers") or ()]
    if not wanted:
        if len(names) > 1:
            raise BadRequest(
                f"a container name must be specified for pod {pod['metadata']['name']},"
                f" choose one of: [{' '.join(names)}]"
            )
        return names[0]
    if wanted not in (*names, *init):
        raise BadRequest(f"container {wanted} is not valid for pod {pod['metadata']['name']}")
    return wanted
