"""The store: every object in memory, every acknowledged write on disk.

Writers check against the newest state, which includes writes that are still on their way to the
disk; readers and watchers see only what is there durably. While one batch is being written the
writes that arrive form the next. When a batch fails, it and all writes that build on it are
refused and memory is as if they had never been; reads go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import orjson

from tidegate.apiserver.storage.database import CommitFailed, Database, Row
from tidegate.apiserver.storage.log import Cursor, EventLog
from tidegate.apiserver.storage.stored import Event, Stored, packed
from tidegate.kube.client import EventType
from tidegate.kube.errors import ServiceUnavailable
from tidegate.kube.objects import Key, Object

logger = logging.getLogger(__name__)

_MAX_WAITING = 20_000


@dataclass(frozen=True)
class _Write:
    bucket: str
    key: Key
    stored: Stored
    removed: bool
    done: asyncio.Future[Stored]


class _Bucket:
    """The committed objects of one resource, by namespace and name."""

    def __init__(self, log: EventLog) -> None:
        self.namespaces: dict[str, dict[str, Stored]] = {}
        self.log = log

    def get(self, key: Key) -> Stored | None:
        return self.namespaces.get(key.namespace, {}).get(key.name)

    def put(self, key: Key, stored: Stored) -> None:
        self.namespaces.setdefault(key.namespace, {})[key.name] = stored

    def remove(self, key: Key) -> None:
        names = self.namespaces.get(key.namespace, {})
        names.pop(key.name, None)
        if not names:
            self.namespaces.pop(key.namespace, None)


class Store:
    """Open with `async with Store(path) as store`.

    Args:
        path: the SQLite file.
        max_pages: see `Database`.
    """

    def __init__(self, path: Path, *, max_pages: int | None = None) -> None:
        self._database = Database(path, max_pages=max_pages)
        self._buckets: dict[str, _Bucket] = {}
        self._pending: dict[tuple[str, Key], _Write] = {}
        self._waiting: list[_Write] = []
        self._committer: asyncio.Task[None] | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False
        self._assigned = 0
        self._opened_at = 0
        self.version = 0

    async def __aenter__(self) -> Store:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Read everything into memory. Raises DatabaseError."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store")
        loop = asyncio.get_running_loop()
        self.version = await loop.run_in_executor(self._executor, self._database.open)
        self._assigned = self._opened_at = self.version
        await loop.run_in_executor(self._executor, self._load)

    async def close(self) -> None:
        """Wait for the writes on their way, then close the file."""
        self._closed = True
        if self._committer is not None:
            await self._committer
        if self._executor is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, self._database.close)
            self._executor.shutdown()

    def get(self, bucket: str, key: Key) -> Stored | None:
        """The object as readers see it: its last durable version."""
        found = self._buckets.get(bucket)
        return found.get(key) if found else None

    def newest(self, bucket: str, key: Key) -> Stored | None:
        """The object as writers see it: with the writes on their way."""
        pending = self._pending.get((bucket, key))
        if pending is not None:
            return None if pending.removed else pending.stored
        return self.get(bucket, key)

    def items(self, bucket: str, namespace: str | None = None) -> list[Stored]:
        """The durable objects of a bucket, or of one namespace in it, unordered."""
        found = self._buckets.get(bucket)
        if found is None:
            return []
        if namespace is not None:
            return list(found.namespaces.get(namespace, {}).values())
        return [stored for names in found.namespaces.values() for stored in names.values()]

    def items_at(
        self, bucket: str, version: int, namespace: str | None = None
    ) -> list[Stored] | None:
        """Like `items`, as of a version not above the current; None when that is forgotten."""
        found = self._bucket(bucket)
        undone = found.log.before(version)
        if undone is None:
            return None
        past = {stored.sort_key: stored for stored in self.items(bucket, namespace)}
        past.update((key, stored) for key, stored in undone.items() if stored is not None)
        gone = {key for key, stored in undone.items() if stored is None}
        return [
            stored
            for key, stored in past.items()
            if key not in gone and namespace in (None, key[0])
        ]

    def newest_items(self, bucket: str, namespace: str | None = None) -> list[Stored]:
        """Like `items`, with the writes on their way."""
        pending = {k: w for (b, k), w in self._pending.items() if b == bucket}
        if not pending:
            return self.items(bucket, namespace)
        found = self._buckets.get(bucket)
        merged: dict[Key, Stored] = {}
        for name_space, names in (found.namespaces if found else {}).items():
            if namespace in (None, name_space):
                merged.update((Key(name_space, name), stored) for name, stored in names.items())
        for key, write in pending.items():
            if namespace in (None, key.namespace):
                merged[key] = write.stored
        return [s for k, s in merged.items() if k not in pending or not pending[k].removed]

    def namespaces_in_use(self, bucket: str) -> Iterable[str]:
        """The namespaces that hold objects of a bucket."""
        found = self._buckets.get(bucket)
        return list(found.namespaces) if found else ()

    async def put(self, bucket: str, key: Key, obj: Object) -> Stored:
        """Write an object, which the store owns from now on; returns when it is on disk.

        The caller has looked at `newest` and must not have awaited since.

        Raises:
            ServiceUnavailable: it could not be written and nothing has changed.
        """
        self._check_open()
        version = self._assigned + 1
        obj["metadata"]["resourceVersion"] = str(version)
        stored = Stored(obj, packed(obj), version)
        self._assigned = version
        return await self._submit(bucket, key, stored, removed=False)

    async def delete(self, bucket: str, key: Key, last: Object) -> Stored:
        """Remove an object; `last` is what watchers are shown, with the deletion's version.

        Raises:
            ServiceUnavailable: it could not be written and nothing has changed.
        """
        self._check_open()
        version = self._assigned + 1
        shown = {**last, "metadata": {**last["metadata"], "resourceVersion": str(version)}}
        stored = Stored(shown, packed(shown), version)
        self._assigned = version
        return await self._submit(bucket, key, stored, removed=True)

    async def settled(self, bucket: str, key: Key) -> None:
        """Wait until the newest state of an object is on disk, as after a write without change.

        Raises:
            ServiceUnavailable: it could not be written.
        """
        pending = self._pending.get((bucket, key))
        if pending is not None:
            await asyncio.shield(pending.done)

    @property
    def is_idle(self) -> bool:
        """Whether no write is on its way."""
        return self._committer is None

    async def wait_idle(self) -> None:
        """Until no write is on its way."""
        while self._committer is not None:
            await asyncio.wait({self._committer})

    def cursor(self, bucket: str, version: int | None = None) -> Cursor:
        """Follow a bucket from after `version`, or from now. Raises Gone."""
        log = self._bucket(bucket).log
        return log.cursor(log.head if version is None else version)

    async def limit_pages(self, pages: int) -> None:
        """Change the limit on the size of the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._database.limit_pages, pages)

    def _load(self) -> None:
        for row in self._database.rows():
            if row.body is not None:
                stored = Stored(orjson.loads(row.body), row.body, row.version)
                self._bucket(row.bucket).put(Key(*stored.sort_key), stored)

    def _bucket(self, name: str) -> _Bucket:
        found = self._buckets.get(name)
        if found is None:
            found = self._buckets[name] = _Bucket(EventLog(self._opened_at, self.version))
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise ServiceUnavailable("the API server is shutting down")
        if len(self._waiting) >= _MAX_WAITING:
            raise ServiceUnavailable("too many writes are waiting for the disk", retry_after=1)

    async def _submit(self, bucket: str, key: Key, stored: Stored, *, removed: bool) -> Stored:
        loop = asyncio.get_running_loop()
        write = _Write(bucket, key, stored, removed, loop.create_future())
        self._pending[bucket, key] = write
        self._waiting.append(write)
        if self._committer is None:
            self._committer = loop.create_task(self._drain(), name="store-commit")
        # A caller that goes away must not take the result from others who wait for it.
        return await asyncio.shield(write.done)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            version = batch[-1].stored.version
            rows = [_row(write) for write in batch]
            try:
                await loop.run_in_executor(self._executor, self._database.commit, rows, version)
            except CommitFailed as error:
                self._refuse(batch, error)
            else:
                self._publish(batch, version)
        self._committer = None

    def _publish(self, batch: list[_Write], version: int) -> None:
        touched: set[str] = set()
        for write in batch:
            self._apply(write)
            touched.add(write.bucket)
        self.version = version
        for bucket in self._buckets.values():
            bucket.log.head = version
        for name in touched:
            self._buckets[name].log.advance(version)
        for write in batch:
            if not write.done.done():
                write.done.set_result(write.stored)

    def _apply(self, write: _Write) -> None:
        bucket = self._bucket(write.bucket)
        previous = bucket.get(write.key)
        if write.removed:
            bucket.remove(write.key)
            bucket.log.append(Event(EventType.DELETED, write.stored, previous))
        else:
            bucket.put(write.key, write.stored)
            kind = EventType.ADDED if previous is None else EventType.MODIFIED
            bucket.log.append(Event(kind, write.stored, previous))
        if self._pending.get((write.bucket, write.key)) is write:
            del self._pending[write.bucket, write.key]

    def _refuse(self, batch: list[_Write], error: CommitFailed) -> None:
        # What waits was checked against the batch that failed: it must go with it.
        refused = [*batch, *self._waiting]
        self._waiting = []
        self._pending.clear()
        logger.error("%d writes refused, the disk did not take them: %s", len(refused), error)
        for write in refused:
            if not write.done.done():
                write.done.set_exception(_refusal(error))
                # Marks it as seen where the caller has gone away meanwhile.
                write.done.exception()


def _row(write: _Write) -> Row:
    body = None if write.removed else write.stored.raw
    return Row(write.bucket, write.key.namespace, write.key.name, write.stored.version, body)


def _refusal(error: CommitFailed) -> ServiceUnavailable:
    if error.full:
        return ServiceUnavailable(
            "the disk is full: nothing was changed; free some space where the data directory is"
            " and try again",
            retry_after=5,
        )
    return ServiceUnavailable(f"the store could not be written: {error}", retry_after=5)
