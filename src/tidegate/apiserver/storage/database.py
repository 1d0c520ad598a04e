"""The disk side of the store: SQLite in write-ahead mode, one transaction per batch of writes.

Runs on one thread of its own. A batch that `commit` returned from is on disk (`synchronous=FULL`
syncs the log before it returns); one that raised has left no trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tidegate.kube.errors import UserError

SCHEMA_VERSION = 1
# Rows that one statement writes; as many statements are kept prepared, of each kind.
_ROWS = 64
# Pages in the log after which it is written back to the file, which takes tens of milliseconds.
_CHECKPOINT_PAGES = 4000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (bucket, namespace, name)
);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class DatabaseError(UserError):
    """The database file cannot be used; the message names it and says why."""


class CommitFailed(Exception):  # noqa: N818 - names what happened
    """A batch was not written and left no trace; `full` when the disk has no room."""

    def __init__(self, reason: str, *, full: bool) -> None:
        super().__init__(reason)
        self.full = full


@dataclass(frozen=True)
class Row:
    """One object on disk, or with `body` None its removal."""

    bucket: str
    namespace: str
    name: str
    version: int
    body: bytes | None


class Database:
    """One SQLite file.

    Args:
        path: the file; made, readable by its owner only, when it does not exist.
        max_pages: SQLite's limit on the size of the file, in pages; None for no limit.
    """

    def __init__(self, path: Path, *, max_pages: int | None = None) -> None:
        self._path = path
        self._max_pages = max_pages
        self._connection: sqlite3.Connection | None = None

    def open(self) -> int:
        """Open or make the file; returns the last resourceVersion ever given.

        Raises:
            DatabaseError: it cannot be opened, is no database, or is from a newer version.
        """
        try:
            return self._open()
        except (sqlite3.Error, OSError) as error:
            raise DatabaseError(f"cannot open the store {self._path}: {error}") from error

    def rows(self) -> Iterator[Row]:
        """All objects."""
        cursor = self._db.execute("SELECT bucket, namespace, name, version, body FROM objects")
        for bucket, namespace, name, version, body in cursor:
            yield Row(bucket, namespace, name, version, body)

    def commit(self, rows: Sequence[Row], version: int) -> None:
        """Write all of `rows` and the counter, or nothing.

        Raises:
            CommitFailed: nothing was written.
        """
        try:
            self._commit(rows, version)
        except sqlite3.Error as error:
            self._roll_back()
            full = isinstance(error, sqlite3.OperationalError) and "full" in str(error)
            raise CommitFailed(str(error), full=full) from error

    def limit_pages(self, pages: int) -> None:
        """Change SQLite's limit on the size of the file."""
        self._db.execute(f"PRAGMA max_page_count={pages:d}")

    def close(self) -> None:
        """Close the file; further use is an error."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise DatabaseError(f"the store {self._path} is not open")
        return self._connection

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(mode=0o600, exist_ok=True)
        # The connection is made on one thread and used on another, never on two at once.
        db = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=3 * _ROWS,
        )
        self._connection = db
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES:d}")
        if self._max_pages is not None:
            self.limit_pages(self._max_pages)
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            raise DatabaseError(
                f"the store {self._path} has format {found}, this version of Tidegate knows"
                f" {SCHEMA_VERSION}: use the version that wrote it, or another data directory"
            )
        if found < SCHEMA_VERSION:
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION:d}")
        row = db.execute("SELECT value FROM counters WHERE name='version'").fetchone()
        return int(row[0]) if row else 0

    def _commit(self, rows: Sequence[Row], version: int) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        # Of several writes to one object only the last one needs to reach the disk.
        last = {(row.bucket, row.namespace, row.name): row for row in rows}.values()
        # Many rows in one statement: for each statement this thread gives the interpreter's lock
        # away and, while the event loop is busy, waits milliseconds to get it back.
        for part in _parts([row for row in last if row.body is not None]):
            values = [v for r in part for v in (r.bucket, r.namespace, r.name, r.version, r.body)]
            db.execute(_upsert(len(part)), values)
        for part in _parts([row for row in last if row.body is None]):
            db.execute(
                _delete(len(part)), [v for r in part for v in (r.bucket, r.namespace, r.name)]
            )
        db.execute(
            "INSERT INTO counters (name, value) VALUES ('version', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (version,),
        )
        db.execute("COMMIT")

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))


@lru_cache(maxsize=_ROWS)
def _upsert(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?)"] * count)
    return (
        f"INSERT INTO objects (bucket, namespace, name, version, body) VALUES {rows}"  # noqa: S608
        " ON CONFLICT (bucket, namespace, name)"
        " DO UPDATE SET version = excluded.version, body = excluded.body"
    )


@lru_cache(maxsize=_ROWS)
def _delete(count: int) -> str:
    # An OR, for which SQLite looks each key up in the index; for an IN it reads the whole table.
    keys = " OR ".join(["(bucket = ? AND namespace = ? AND name = ?)"] * count)
    return f"DELETE FROM objects WHERE {keys}"  # noqa: S608
