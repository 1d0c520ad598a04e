"""Seconds and cost of each pod, from the preparation of its image until its end.

Running pods are metered from their start time, which stands in their directory; ended ones stand in
an append-only ledger, one JSON object per line. What was open when the machine went down counts
until the last sign of life, which is the change time of the file `alive`.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate.kube.clock import Clock

logger = logging.getLogger(__name__)

_ENDED_KEPT = 1000
_ALIVE_SECONDS = 5.0


@dataclass(frozen=True)
class PodUsage:
    """What one pod has used.

    Attributes:
        namespace, pod, uid: which pod.
        spec: its instance spec.
        price: per hour.
        started: seconds since the epoch.
        seconds: how long, as of now or until its end.
        cost: seconds x price / 3600, in the price table's currency.
        running: whether it goes on.
    """

    namespace: str
    pod: str
    uid: str
    spec: str
    price: float
    started: float
    seconds: float
    cost: float
    running: bool


@dataclass(frozen=True)
class Meter:
    """A pod being metered."""

    namespace: str
    pod: str
    uid: str
    spec: str
    price: float
    started: float

    def usage(self, until: float, *, running: bool) -> PodUsage:
        seconds = max(0.0, until - self.started)
        cost = seconds * self.price / 3600
        return PodUsage(**asdict(self), seconds=seconds, cost=cost, running=running)


class Ledger:
    """The book of all meters.

    Args:
        data_dir: the platform's data directory.
        clock: the time.

    Attributes:
        last_alive: when a control plane last ran here before this one, seconds since the epoch.
    """

    def __init__(self, data_dir: Path, *, clock: Clock) -> None:
        self._directory = data_dir / "meter"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clock = clock
        self._open: dict[str, Meter] = {}
        self._ended: deque[PodUsage] = deque(self._read(), maxlen=_ENDED_KEPT)
        self.last_alive = self._last_sign()

    def start(self, meter: Meter) -> None:
        """Begin, or go on with what was begun before."""
        self._open[meter.uid] = meter

    def end(self, uid: str, *, at: float | None = None) -> None:
        """Stop the meter and write it down; nothing if it does not run, or stands there already.

        A control plane that died between writing this down and forgetting the pod ends it again.
        """
        meter = self._open.get(uid)
        if meter is None:
            return
        if not any((e.uid, e.started) == (meter.uid, meter.started) for e in self._ended):
            usage = meter.usage(self._clock.time() if at is None else at, running=False)
            self._write_down(usage)
            self._ended.append(usage)
        # Not before it is written: who ends it again after a failure must find it open.
        del self._open[uid]

    def usage(self) -> list[PodUsage]:
        """Running pods, then those that ended last, newest first."""
        now = self._clock.time()
        running = [meter.usage(now, running=True) for meter in self._open.values()]
        return [*running, *reversed(self._ended)]

    async def run(self) -> None:
        """Give signs of life until cancelled."""
        while True:
            try:
                self._alive.touch(mode=0o600)
            except OSError as error:
                logger.warning("the meter's sign of life cannot be given: %s", error)
            await self._clock.sleep(_ALIVE_SECONDS)

    def _write_down(self, usage: PodUsage) -> None:
        line = json.dumps(asdict(usage)).encode() + b"\n"
        handle = os.open(self._ledger, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b") as file:
            # What a crash or a full disk has cut off must not swallow the line after it.
            if file.seek(0, os.SEEK_END) and os.pread(handle, 1, file.tell() - 1) != b"\n":
                line = b"\n" + line
            file.write(line)

    @property
    def _ledger(self) -> Path:
        return self._directory / "ledger.jsonl"

    @property
    def _alive(self) -> Path:
        return self._directory / "alive"

    def _last_sign(self) -> float:
        try:
            return self._alive.stat().st_mtime
        except FileNotFoundError:
            return self._clock.time()

    def _read(self) -> list[PodUsage]:
        found: deque[PodUsage] = deque(maxlen=_ENDED_KEPT)
        try:
            with self._ledger.open(encoding="utf-8") as file:
                for line in file:
                    # The last line may be torn when the machine went down.
                    try:
                        found.append(PodUsage(**json.loads(line)))
                    except (ValueError, TypeError):
                        continue
        except FileNotFoundError:
            pass
        return list(found)
