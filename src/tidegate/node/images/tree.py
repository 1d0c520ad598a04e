"""The files of an image: which belong to it, their digest, and their copy.

The digest is SHA-256 over each file's relative path, mode and content in path order, so that two
directories with the same files are one image. `.imageignore` leaves files out, one glob per line:
a pattern without a slash matches a name at any depth, one with a slash a path from the root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

IGNORE_NAME = ".imageignore"
_ALWAYS_IGNORED = ("__pycache__", ".git", ".venv", "*.pyc", IGNORE_NAME)


@dataclass(frozen=True)
class Entry:
    """One file or symbolic link: path relative to the image, mode bits, size and change time."""

    path: str
    mode: int
    size: int
    modified_ns: int


def entries(directory: Path) -> list[Entry]:
    """The files of the image in path order."""
    patterns = _patterns(directory)
    return sorted(_walk(directory, "", patterns), key=lambda entry: entry.path)


def fingerprint(files: Sequence[Entry]) -> str:
    """Changes whenever a file was touched; cheap, for knowing when a digest is still good."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.mode}\0{file.size}\0{file.modified_ns}\n".encode())
    return digest.hexdigest()


def content_digest(directory: Path, files: Sequence[Entry]) -> str:
    """The image's digest, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{_normal_mode(file.mode):o}\0".encode())
        digest.update(_content_hash(directory / file.path, file.mode))
    return digest.hexdigest()


def copy(directory: Path, files: Sequence[Entry], target: Path) -> None:
    """Copy the image's files into `target`, which must not exist."""
    target.mkdir(parents=True)
    for file in files:
        destination = target / file.path
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(directory / file.path, destination, follow_symlinks=False)


def _walk(root: Path, prefix: str, patterns: Sequence[str]) -> Iterator[Entry]:
    with os.scandir(root / prefix) as found:
        for item in found:
            path = f"{prefix}/{item.name}" if prefix else item.name
            if _ignored(path, item.name, patterns):
                continue
            if item.is_dir(follow_symlinks=False):
                yield from _walk(root, path, patterns)
                continue
            status = item.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield Entry(path, status.st_mode, status.st_size, status.st_mtime_ns)


def _patterns(directory: Path) -> list[str]:
    path = directory / IGNORE_NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    own = [line.strip().strip("/") for line in lines]
    return [*_ALWAYS_IGNORED, *(line for line in own if line and not line.startswith("#"))]


def _ignored(path: str, name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path if "/" in pattern else name, pattern) for pattern in patterns)


def _normal_mode(mode: int) -> int:
    # Only what a checkout preserves: a link, or whether the owner may execute the file.
    if stat.S_ISLNK(mode):
        return 0o120000
    return 0o755 if mode & stat.S_IXUSR else 0o644


def _content_hash(path: Path, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return hashlib.sha256(os.fsencode(path.readlink())).digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
