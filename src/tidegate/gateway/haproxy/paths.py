"""Where the gateway's files lie: sockets, maps, configuration and pid file, for the owner only."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tidegate.kube.errors import UserError

# A socket's path has at most 107 bytes, and HAProxy binds under a temporary name that is longer.
_LONGEST_DIRECTORY = 72
_PLAIN = re.compile(r"[A-Za-z0-9._/+-]+")


@dataclass(frozen=True)
class ProcessFiles:
    """What one HAProxy is known by: its configuration, and the file with its number."""

    config: Path
    pid: Path


@dataclass(frozen=True)
class Paths:
    """The files under one directory."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "haproxy.cfg"

    @property
    def park_lua(self) -> Path:
        return self.directory / "park.lua"

    @property
    def rules_lua(self) -> Path:
        return self.directory / "rules.lua"

    @property
    def watchdog_lua(self) -> Path:
        return self.directory / "watchdog.lua"

    @property
    def overdue_lua(self) -> Path:
        return self.directory / "overdue.lua"

    @property
    def stage_lua(self) -> Path:
        return self.directory / "stage.lua"

    @property
    def unavailable_http(self) -> Path:
        return self.directory / "unavailable.http"

    @property
    def pid_file(self) -> Path:
        return self.directory / "haproxy.pid"

    @property
    def current(self) -> ProcessFiles:
        """Of the HAProxy that clients reach."""
        return ProcessFiles(self.config, self.pid_file)

    def leaving(self, pid: int) -> ProcessFiles:
        """Of one that has handed over, or is about to."""
        name = self.directory / f"leaving-{pid}"
        return ProcessFiles(name.with_suffix(".cfg"), name.with_suffix(".pid"))

    def all_leaving(self) -> list[ProcessFiles]:
        """Of all that have handed over and have not been done with, the eldest first."""
        # Without a number: of a version that knew one at most.
        configs = sorted(self.directory.glob("leaving*.cfg"), key=lambda path: path.stat().st_mtime)
        return [ProcessFiles(config, config.with_suffix(".pid")) for config in configs]

    def admin_socket(self, generation: str) -> Path:
        """Each HAProxy has its own: a successor inherits all sockets that it would bind too."""
        return self.directory / f"admin-{generation}.sock"

    @property
    def notice_socket(self) -> Path:
        return self.directory / "notice.sock"

    @property
    def records_socket(self) -> Path:
        return self.directory / "records.sock"

    @property
    def routes_map(self) -> Path:
        return self.directory / "routes.map"

    @property
    def revisions_map(self) -> Path:
        return self.directory / "revisions.map"

    @property
    def tls(self) -> Path:
        return self.directory / "tls"

    @property
    def certificates(self) -> Path:
        return self.tls / "crt-list.txt"


def prepare(data_dir: Path) -> Paths:
    """The directory for this data directory, made if need be, readable by its owner alone.

    It is `gateway` under the data directory, or, where that path is too long for a socket or has
    characters that HAProxy's configuration would read as its own, one in the system's temporary
    directory whose name derives from it.

    Raises:
        UserError: the directory cannot be made or belongs to somebody else.
    """
    directory = data_dir.absolute() / "gateway"
    if len(os.fsencode(directory)) > _LONGEST_DIRECTORY or not _PLAIN.fullmatch(str(directory)):
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"tidegate-{os.getuid()}-{digest}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise UserError(f"{directory} belongs to another user: remove it or choose another")
        directory.chmod(0o700)
    except OSError as error:
        raise UserError(
            f"the gateway cannot use {directory} ({error.strerror}): choose another data directory"
        ) from error
    return Paths(directory)
