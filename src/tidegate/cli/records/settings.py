"""Where a platform lives and which ports it takes, and the record of it for later commands."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from tidegate.cli.records import locks
from tidegate.cli.records.door import Door
from tidegate.cli.records.files import write_record
from tidegate.kube.errors import UserError

DEFAULT_MAX_REVISIONS = 1024


@dataclass(frozen=True)
class Settings:
    """One platform on this machine.

    Attributes:
        data_dir: everything it keeps; one platform per directory.
        bind: the address of the API, the gateway and the console.
        api_port, gateway_port, console_port: TCP ports.
        https_port: the gateway's for HTTPS, 0 for none.
        tls_certificate, tls_key: PEM files shown over HTTPS to clients of every host that has no
            certificate of its own; without them the platform's own authority signs some.
        image_dirs: directories whose subdirectories are images known from the start.
        max_revisions: revisions with a containerConcurrency that can have traffic or pods at once,
            as many without one, and as many pods of those with one.
    """

    data_dir: Path
    bind: str = "127.0.0.1"
    api_port: int = 6443
    gateway_port: int = 8080
    console_port: int = 8081
    image_dirs: tuple[Path, ...] = ()
    https_port: int = 8443
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    max_revisions: int = DEFAULT_MAX_REVISIONS

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "logs" / "tidegate.log"

    @property
    def lock_file(self) -> Path:
        return self.data_dir / "lock"

    @property
    def running_pid(self) -> int | None:
        """The platform's process, None when there is none."""
        return locks.holder(self.lock_file)

    @property
    def console_token_file(self) -> Path:
        return self.data_dir / "console-token"

    @property
    def door(self) -> Door:
        """The platform's own gateway."""
        return Door(
            self.data_dir,
            bind=self.bind,
            port=self.gateway_port,
            https_port=self.https_port,
            tls_certificate=self.tls_certificate,
            tls_key=self.tls_key,
            pki=self.data_dir / "pki",
            max_revisions=self.max_revisions,
        )

    @property
    def record_file(self) -> Path:
        return self.data_dir / "platform.json"

    @property
    def restoring_file(self) -> Path:
        """Is there while a backup is being restored, and after that was cut short."""
        return self.data_dir / "restoring"

    @contextmanager
    def hold(self) -> Generator[None]:
        """Be the only platform on the data directory for as long as the context lasts.

        Raises:
            UserError: another one runs on it.
        """
        with locks.hold(self.lock_file, self.already_running):
            yield

    def already_running(self, pid: int | None) -> UserError:
        """What to tell a user who starts a second platform on the data directory."""
        return UserError(
            f"a platform runs already on {self.data_dir} (process {pid});"
            " stop it with `tidegate down`, or give this one its own --data-dir"
        )


def shipped_images() -> tuple[Path, ...]:
    """The directory of the images that come with a checkout of Tidegate, where there is one."""
    directory = Path(__file__).resolve().parents[4] / "images"
    return (directory,) if directory.is_dir() else ()


def save(settings: Settings) -> None:
    """Record the settings of the platform that runs on this data directory."""
    record: dict[str, Any] = asdict(settings)
    record["data_dir"] = str(settings.data_dir)
    for name in ("tls_certificate", "tls_key"):
        record[name] = record[name] and str(record[name])
    record["image_dirs"] = [str(path) for path in settings.image_dirs]
    write_record(settings.record_file, record)


def load(data_dir: Path) -> Settings:
    """The settings the platform on `data_dir` was started with.

    Raises:
        UserError: no platform was ever started there, or its record is damaged.
    """
    settings = Settings(data_dir)
    try:
        return _with_record(settings, orjson.loads(settings.record_file.read_bytes()))
    except FileNotFoundError as error:
        raise UserError(
            f"there is no platform in {data_dir}: start one with `tidegate up`,"
            " or name its directory with --data-dir"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {settings.record_file}: {error.strerror}") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{settings.record_file} is damaged ({error}): `tidegate up` with the options of the"
            " platform writes it anew"
        ) from error


def _with_record(settings: Settings, record: dict[str, Any]) -> Settings:
    return replace(
        settings,
        bind=record["bind"],
        api_port=record["api_port"],
        gateway_port=record["gateway_port"],
        console_port=record["console_port"],
        https_port=record.get("https_port", 0),
        tls_certificate=_path(record.get("tls_certificate")),
        tls_key=_path(record.get("tls_key")),
        image_dirs=tuple(Path(path) for path in record["image_dirs"]),
        max_revisions=record.get("max_revisions", DEFAULT_MAX_REVISIONS),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
