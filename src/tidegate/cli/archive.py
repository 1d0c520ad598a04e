"""A platform in one file: a compressed tar of what it needs, each part with its checksum.

The first member is `backup.json`: the format, who wrote it and when, and the SHA-256 of all others.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import orjson

from tidegate.kube.errors import UserError

_FORMAT = 1
_MANIFEST = "backup.json"
_MAX_MANIFEST_BYTES = 1024 * 1024
_COMPRESSION = 3
_CHUNK = 1024 * 1024


class ArchiveError(UserError):
    """The file is no backup, or a damaged one; the message says what is wrong with it."""


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        tidegate: the version that wrote it.
        created: when, in RFC 3339.
        version: the last resourceVersion of the store.
        objects: how many objects it holds.
        settings: the options the platform was started with.
        files: SHA-256 of every other member, by name.
    """

    tidegate: str
    created: str
    version: int
    objects: int
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    files: dict[str, str] = field(default_factory=dict[str, str])


def write(target: Path, manifest: Manifest, members: Mapping[str, Path]) -> Manifest:
    """Write a backup; it appears under its name when it is complete, on disk and read again.

    Args:
        target: readable by its owner only.
        members: the files, by their names in the archive.

    Returns:
        The manifest with the checksums.

    Raises:
        UserError: it cannot be written.
    """
    sums = {name: _sum(path) for name, path in members.items()}
    complete = replace(manifest, files=sums)
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    temporary = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            _pack(file, complete, members)
            file.flush()
            os.fsync(file.fileno())
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".check-") as scratch:
            extract(temporary, Path(scratch))
        temporary.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return complete


def extract(source: Path, directory: Path) -> Manifest:
    """Unpack a backup into `directory` and compare every checksum.

    Raises:
        ArchiveError: it is none, is damaged, or of a newer format.
        UserError: it cannot be read, or its content not written.
    """
    try:
        with tarfile.open(source, "r:gz") as tar:
            manifest = _manifest(source, tar)
            found = {_unpack(source, tar, member, manifest, directory) for member in tar}
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ArchiveError(f"{source} is no backup, or a damaged one: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArchiveError(f"cannot read the backup {source}: {reason}") from error
    missing = sorted(set(manifest.files) - found)
    if missing:
        raise ArchiveError(f"the backup {source} is damaged: {', '.join(missing)} is missing")
    return manifest


def sync_directory(path: Path) -> None:
    """Bring a directory's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pack(file: Any, manifest: Manifest, members: Mapping[str, Path]) -> None:
    with tarfile.open(
        fileobj=file, mode="w:gz", compresslevel=_COMPRESSION, format=tarfile.PAX_FORMAT
    ) as tar:
        text = orjson.dumps({"format": _FORMAT, **asdict(manifest)}, option=orjson.OPT_INDENT_2)
        tar.addfile(_entry(_MANIFEST, len(text)), io.BytesIO(text))
        for name, path in members.items():
            with path.open("rb") as content:
                tar.addfile(_entry(name, path.stat().st_size), content)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o600
    return entry


def _manifest(source: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != _MANIFEST or first.size > _MAX_MANIFEST_BYTES:
        raise ArchiveError(f"{source} is no backup: it does not begin with {_MANIFEST}")
    content = tar.extractfile(first)
    value: Any = orjson.loads(content.read() if content else b"")
    found = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if found.pop("format", None) != _FORMAT:
        raise ArchiveError(
            f"the backup {source} has a format that this version of Tidegate does not know: use"
            f" the version that wrote it ({found.get('tidegate', 'unknown')})"
        )
    try:
        return Manifest(**found)
    except TypeError as error:
        raise ArchiveError(f"{source} is no backup: {error}") from error


def _unpack(
    source: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, manifest: Manifest, directory: Path
) -> str:
    if member.name == _MANIFEST:
        return member.name
    path = PurePosixPath(member.name)
    expected = manifest.files.get(member.name)
    # Nothing leaves the directory, and nothing comes that the manifest does not name.
    if expected is None or not member.isfile() or path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"the backup {source} holds {member.name!r}, which does not belong here")
    target = directory / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = tar.extractfile(member)
    digest = hashlib.sha256()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while content is not None and (chunk := content.read(_CHUNK)):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != expected:
        raise ArchiveError(f"the backup {source} is damaged: {member.name} is not what was written")
    return member.name


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
