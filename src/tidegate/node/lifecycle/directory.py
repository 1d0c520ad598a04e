"""Where a pod keeps what it has on this machine: `<data-dir>/pods/<uid>/`.

pod.json                                which pod this is and since when it is metered
home/, tmp/                             its HOME and TMPDIR
hosts, log/                             its /etc/hosts and /var/log
volumes/<name>/                         the contents of its volumes
containers/<name>/<attempt>/            one start: the runtime's records and the log
containers/<name>/root/                 links to its volumes at their mount paths
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PodRecord:
    """What must be known of a pod when the API no longer has it."""

    namespace: str
    name: str
    uid: str
    spec: str
    price: float
    started: float
    grace: float


class PodDirectory:
    """The paths of one pod."""

    def __init__(self, data_dir: Path, uid: str) -> None:
        self.path = data_dir / "pods" / uid

    @property
    def home(self) -> Path:
        return self.path / "home"

    @property
    def tmp(self) -> Path:
        return self.path / "tmp"

    @property
    def hosts(self) -> Path:
        return self.path / "hosts"

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def volumes(self) -> Path:
        return self.path / "volumes"

    def volume(self, name: str) -> Path:
        return self.volumes / name

    def root(self, container: str) -> Path:
        return self.path / "containers" / container / "root"

    def attempt(self, container: str, number: int) -> Path:
        return self.path / "containers" / container / str(number)

    def attempts(self, container: str) -> list[int]:
        """The starts there are records of, oldest first."""
        try:
            names = [item.name for item in (self.path / "containers" / container).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isdigit())

    def prune(self, container: str, *, keep: int = 2) -> None:
        """Remove all but the latest starts."""
        for number in self.attempts(container)[:-keep]:
            shutil.rmtree(self.attempt(container, number), ignore_errors=True)

    def create(self, record: PodRecord) -> None:
        """Make the directories and write the record."""
        for path in (self.path, self.home, self.tmp):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.path / "pod.json", json.dumps(asdict(record)).encode())

    def record(self) -> PodRecord | None:
        """The record, None when there is none to be read."""
        try:
            raw: dict[str, Any] = json.loads((self.path / "pod.json").read_text(encoding="utf-8"))
            return PodRecord(**raw)
        except (OSError, ValueError, TypeError):
            return None

    def forget_record(self) -> None:
        """Remove the record: the pod's meter has been settled."""
        (self.path / "pod.json").unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that appears complete, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    temporary.replace(path)
