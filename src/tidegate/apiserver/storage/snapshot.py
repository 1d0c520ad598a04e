"""Copies of the store's file: made while a server writes to it, checked, and made ready to be used.

The functions here open the file on their own, also from another process than the server's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from tidegate.apiserver.storage.database import SCHEMA_VERSION, DatabaseError

Progress = Callable[[int, int], None]

_PAGES_PER_STEP = 1024
_BUSY_SECONDS = 30.0


@dataclass(frozen=True)
class Contents:
    """What a store's file holds.

    Attributes:
        version: the last resourceVersion given.
        objects: how many there are.
    """

    version: int
    objects: int


def copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy the state at one instant, whatever is written meanwhile; `target` must not exist.

    Args:
        progress: called with pages done and pages in all.

    Raises:
        DatabaseError: the file cannot be read, or the copy not written.
    """
    target.touch(mode=0o600, exist_ok=False)
    with _opened(source, "rw") as db, closing(sqlite3.connect(target)) as made:
        # An open read transaction keeps what a copy in several steps sees from changing.
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        db.backup(
            made,
            pages=_PAGES_PER_STEP,
            progress=lambda _, left, total: progress(total - left, total),
        )
        # One file, with no log beside it, is what can be moved about.
        made.execute("PRAGMA journal_mode=DELETE")


def check(path: Path) -> Contents:
    """Read all of a file that no server uses.

    Raises:
        DatabaseError: it is damaged, or of a format that is not known here.
    """
    with _opened(path, "ro") as db:
        problems = [str(row[0]) for row in db.execute("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise DatabaseError(f"the store {path} is damaged: {'; '.join(problems)}")
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if not 0 < found <= SCHEMA_VERSION:
            raise DatabaseError(
                f"the store {path} has format {found}, this version of Tidegate knows"
                f" {SCHEMA_VERSION}: use the version that wrote it"
            )
        objects = newest = 0
        for name, version, body in db.execute("SELECT name, version, body FROM objects"):
            _check_object(path, name, body)
            objects += 1
            newest = max(newest, version)
        version = _counter(db)
        if newest > version:
            raise DatabaseError(
                f"the store {path} is damaged: it has an object of version {newest} and a counter"
                f" of {version}"
            )
        return Contents(version, objects)


def last_version(path: Path) -> int:
    """The last resourceVersion a file gave; 0 when it cannot be read."""
    try:
        with _opened(path, "rw") as db:
            return _counter(db)
    except DatabaseError:
        return 0


def advance(path: Path, version: int) -> None:
    """Let the next resourceVersion be above `version`.

    Raises:
        DatabaseError: the file cannot be written.
    """
    with _opened(path, "rw") as db:
        db.execute(
            "INSERT INTO counters (name, value) VALUES ('version', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (version,),
        )


@contextmanager
def _opened(path: Path, mode: str) -> Generator[sqlite3.Connection]:
    try:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        with closing(
            sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
        ) as db:
            yield db
    except sqlite3.Error as error:
        raise DatabaseError(f"cannot use the store {path}: {error}") from error


def _counter(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT value FROM counters WHERE name='version'").fetchone()
    return int(row[0]) if row else 0


def _check_object(path: Path, name: str, body: bytes) -> None:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DatabaseError(f"the store {path} is damaged: object {name!r}: {error}") from error
