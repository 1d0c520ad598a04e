"""Removing unpacked images and environments that nobody needs, when the disk fills up.

As kubelet does: above the high mark the longest unused go until the low mark is reached. Needed is
what a pod was started from, what a warm template has open, what was used a moment ago, and of each
known image the copy used last; an environment is needed by the images that have it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.node.images import manifest, registry
from tidegate.node.images.environments import environment_key
from tidegate.node.images.errors import ImageError
from tidegate.node.locks import file_lock

logger = logging.getLogger(__name__)

# A pod may have been given it and not yet been started.
_LEAST_AGE_SECONDS = 120.0
_DIGEST_LENGTH = 64


@dataclass(frozen=True)
class Unpacked:
    """A directory that could be made again.

    Attributes:
        path: of an image's copy or an environment.
        name: the image's; empty for an environment.
        environment: the key of an image's environment; an environment's own.
        used: when it was last asked for, seconds since the epoch.
    """

    path: Path
    name: str
    environment: str
    used: float


@dataclass(frozen=True)
class Marks:
    """Percent of the disk in use: above `high` there is freed until `low`."""

    high: float = 85.0
    low: float = 80.0


def collect(data_dir: Path, search: Sequence[Path], marks: Marks) -> list[Path]:
    """Free space if the disk is too full; what was removed. Blocks for as long as it takes."""
    usage = shutil.disk_usage(data_dir)
    if usage.used < usage.total * marks.high / 100:
        return []
    wanted = usage.used - usage.total * marks.low / 100
    removed: list[Path] = []
    for item in unneeded(data_dir, search):
        free = shutil.disk_usage(data_dir).free
        remove(item.path)
        removed.append(item.path)
        wanted -= shutil.disk_usage(data_dir).free - free
        if wanted <= 0:
            break
    else:
        logger.warning(
            "the disk of %s is %.0f %% full and no image is left to remove",
            data_dir,
            100 * usage.used / usage.total,
        )
    return removed


def unneeded(
    data_dir: Path, search: Sequence[Path], *, least_age: float = _LEAST_AGE_SECONDS
) -> list[Unpacked]:
    """What may go, the longest unused first: images, then environments that no image needs."""
    images, environments = _images(data_dir), _environments(data_dir)
    known = {source.manifest.name for source in registry.list_images(data_dir, search)}
    used = set(_used(data_dir))
    kept = set(_latest(images, known)) | used | set(_open_in_templates(data_dir, images))
    before = time.time() - least_age
    gone = [item for item in images if item.path not in kept and item.used < before]
    needed = {item.environment for item in images if item not in gone}
    gone += [
        item
        for item in environments
        if item.environment not in needed and item.path not in used and item.used < before
    ]
    return sorted(gone, key=lambda item: item.used)


def remove(path: Path) -> None:
    """Remove a directory so that nobody finds half of it."""
    with file_lock(path.parent / ".removing.lock"):
        place = Path(tempfile.mkdtemp(dir=path.parent, prefix=".removing-"))
        try:
            path.rename(place / path.name)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def touch(path: Path) -> None:
    """Note that something is used now."""
    try:
        os.utime(path)
    except OSError as error:
        logger.debug("the use of %s cannot be noted: %s", path, error)


def _images(data_dir: Path) -> list[Unpacked]:
    found: list[Unpacked] = []
    for path in _directories(data_dir / "images"):
        if len(path.name) != _DIGEST_LENGTH:
            continue
        try:
            loaded = manifest.load(path / "rootfs")
            requirements = loaded.requirements
            text = (path / "rootfs" / requirements).read_text("utf-8") if requirements else ""
        except (ImageError, OSError, UnicodeDecodeError):
            continue
        found.append(Unpacked(path, loaded.name, environment_key(text), path.stat().st_mtime))
    return found


def _environments(data_dir: Path) -> list[Unpacked]:
    return [
        Unpacked(path, "", path.name, path.stat().st_mtime)
        for path in _directories(data_dir / "environments")
    ]


def _directories(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        for path in parent.iterdir():
            if path.is_dir() and not path.name.startswith("."):
                yield path


def _latest(images: Iterable[Unpacked], names: set[str]) -> Iterator[Path]:
    latest: dict[str, Unpacked] = {}
    for item in sorted(images, key=lambda item: item.used):
        latest[item.name] = item
    return (item.path for name, item in latest.items() if name in names)


def _used(data_dir: Path) -> Iterator[Path]:
    """What the containers that this machine has records of were started from."""
    for path in data_dir.glob("pods/*/containers/*/*/record.json"):
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["image"]
            yield Path(record["rootfs"]).parent
            yield Path(record["environment"])
        except (OSError, ValueError, KeyError):
            continue


def _open_in_templates(data_dir: Path, images: Iterable[Unpacked]) -> Iterator[Path]:
    names = [path.name for path in data_dir.glob("run/*.sock")]
    for item in images:
        if any(item.path.name.startswith(name.partition("-")[0]) for name in names):
            yield item.path
