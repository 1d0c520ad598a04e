"""The further gateways on this machine: where each is, and which of them run."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from tidegate.cli.records import locks
from tidegate.cli.records.door import Door
from tidegate.cli.records.files import write_record
from tidegate.kube.errors import UserError

# The name of the platform's own.
OWN = "gateway"

_RECORD = "gateway.json"


@dataclass(frozen=True)
class Further:
    """One more gateway.

    Attributes:
        name: unlike that of every other gateway of the platform.
        door: where it listens; its directory is for it alone, the same at every start.
        kubeconfig: of the platform's API.
    """

    name: str
    door: Door
    kubeconfig: Path

    @property
    def log_file(self) -> Path:
        return self.door.directory / "logs" / "tidegate.log"

    @property
    def data_dir(self) -> Path:
        """The platform's, or what stands for it where the platform is elsewhere."""
        return self.door.directory.parent.parent

    @property
    def running_pid(self) -> int | None:
        """Its process, None when there is none."""
        return locks.holder(self._lock_file)

    @property
    def _lock_file(self) -> Path:
        return self.door.directory / "lock"

    @property
    def _record_file(self) -> Path:
        return self.door.directory / _RECORD

    @contextmanager
    def hold(self) -> Generator[None]:
        """Be the only process of this gateway for as long as the context lasts.

        Raises:
            UserError: there is another.
        """
        with locks.hold(self._lock_file, self.already_running):
            record = asdict(self, dict_factory=_plain)
            write_record(self._record_file, record)
            yield

    def already_running(self, pid: int | None) -> UserError:
        """What to tell a user who starts a second of the same name."""
        return UserError(
            f"a gateway {self.name} runs already (process {pid}): give this one another --name,"
            " or stop that one with Ctrl-C or `kill -INT`"
        )

    def forget(self) -> None:
        """It has ended for good."""
        self._record_file.unlink(missing_ok=True)


def directory_of(data_dir: Path, name: str) -> Path:
    """Where a further gateway keeps its files."""
    return data_dir / "gateways" / name


def all_of(data_dir: Path) -> list[Further]:
    """Those that have run on this data directory and have not ended for good."""
    found: list[Further] = []
    for path in sorted((data_dir / "gateways").glob(f"*/{_RECORD}")):
        try:
            record = orjson.loads(path.read_bytes())
            door = record["door"]
            for name in ("directory", "tls_certificate", "tls_key", "pki"):
                door[name] = door[name] and Path(door[name])
            found.append(Further(record["name"], Door(**door), Path(record["kubeconfig"])))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"cannot read {path}: {error}") from error
    return found


def _plain(items: list[tuple[str, object]]) -> dict[str, object]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in items}
