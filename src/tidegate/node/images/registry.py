"""Which images are known: those in the search directories and those added by hand.

Added ones stand in `<data-dir>/images/index.json`, which `tidegate image add` writes while the
platform may be running; readers see the old file or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tidegate.node.images import manifest, tree
from tidegate.node.images.errors import BrokenImageError, ImageError, UnknownImageError
from tidegate.node.images.manifest import MANIFEST_NAME, Manifest
from tidegate.node.locks import file_lock

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """A known image: where its files are and every reference that means it.

    The digest is only there for an unpacked copy, which has no other name.
    """

    directory: Path
    manifest: Manifest
    references: tuple[str, ...]
    digest: str = ""


def add(data_dir: Path, directory: Path, aliases: Sequence[str] = ()) -> Source:
    """Make the image in `directory` known under its name and `aliases`.

    Adding a directory again adds to its aliases; an alias moves to the image added last.

    Raises:
        BrokenImageError: the directory holds no valid image, or an alias is empty.
    """
    directory = directory.resolve()
    manifest.load(directory)
    if any(not alias.strip() or any(c.isspace() for c in alias) for alias in aliases):
        raise BrokenImageError("an alias must be an image reference, without spaces")
    images = _images_dir(data_dir)
    with file_lock(images / "index.lock"):
        known = _read_index(data_dir)
        mine = list(dict.fromkeys([*known.pop(directory, []), *aliases]))
        others = {
            path: [alias for alias in given if alias not in mine] for path, given in known.items()
        }
        _write_index(data_dir, {**others, directory: mine})
    return _source(directory, mine)


def forget(data_dir: Path, reference: str) -> tuple[Path, str]:
    """Take back what `add` made known; its directory, and its name unless its manifest is broken.

    Raises:
        UnknownImageError: no image was added under that name, alias or directory.
    """
    wanted = normalize(reference)
    with file_lock(_images_dir(data_dir) / "index.lock"):
        known = _read_index(data_dir)
        for directory, aliases in known.items():
            name, references = _names(directory, aliases)
            if wanted in {normalize(item) for item in references} or reference == str(directory):
                del known[directory]
                _write_index(data_dir, known)
                return directory, name
    raise UnknownImageError(reference)


def _names(directory: Path, aliases: Sequence[str]) -> tuple[str, Sequence[str]]:
    try:
        source = _source(directory, aliases)
    except ImageError:
        return "", aliases
    return source.manifest.name, source.references


def list_images(data_dir: Path, search: Sequence[Path]) -> list[Source]:
    """All usable images; those added by hand come first and win over the search directories."""
    found: dict[Path, Source] = {}
    for directory, aliases in _candidates(data_dir, search):
        with contextlib.suppress(ImageError):
            found[directory] = _source(directory, aliases)
    return list(found.values())


def resolve(data_dir: Path, search: Sequence[Path], reference: str) -> Source:
    """The image that `reference` means: a name, `name:tag`, an alias, or `name@sha256:<digest>`.

    Raises:
        UnknownImageError: none; the message says how to make it known.
        BrokenImageError: its manifest is not valid.
    """
    wanted = normalize(reference)
    unpacked = _unpacked(data_dir, wanted)
    if unpacked is not None:
        return unpacked
    broken: ImageError | None = None
    for directory, aliases in _candidates(data_dir, search):
        try:
            source = _source(directory, aliases)
        except ImageError as error:
            broken = error if reference in aliases else broken
            continue
        if wanted in {normalize(known) for known in source.references}:
            return source
        if wanted.startswith(f"{source.manifest.name}@sha256:"):
            digest = tree.content_digest(directory, tree.entries(directory))
            if wanted.endswith(digest):
                return source
    raise broken or UnknownImageError(reference)


def _unpacked(data_dir: Path, reference: str) -> Source | None:
    """The copy of an image by its digest, whatever became of the directory it was made from."""
    name, _, digest = reference.partition("@sha256:")
    rootfs = data_dir / "images" / digest / "rootfs"
    if not _DIGEST.fullmatch(digest) or not rootfs.is_dir():
        return None
    try:
        loaded = manifest.load(rootfs)
    except ImageError:
        return None
    return Source(rootfs, loaded, (reference,), digest) if loaded.name == name else None


def normalize(reference: str) -> str:
    """The long form: the default registry left out, the tag `latest` where there is none."""
    short = reference.removeprefix("docker.io/").removeprefix("library/")
    if "@" in short or ":" in short.rpartition("/")[2]:
        return short
    return f"{short}:latest"


def _candidates(data_dir: Path, search: Sequence[Path]) -> Iterator[tuple[Path, list[str]]]:
    added = _read_index(data_dir)
    yield from reversed(added.items())
    for directory in _search(search):
        if directory not in added:
            yield directory, []


def _search(search: Sequence[Path]) -> Iterator[Path]:
    for parent in search:
        if parent.is_dir():
            for directory in sorted(parent.iterdir()):
                if (directory / MANIFEST_NAME).is_file():
                    yield directory.resolve()


def _source(directory: Path, aliases: Sequence[str]) -> Source:
    loaded = manifest.load(directory)
    return Source(directory, loaded, (loaded.name, *loaded.aliases, *aliases))


def _images_dir(data_dir: Path) -> Path:
    path = data_dir / "images"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _read_index(data_dir: Path) -> dict[Path, list[str]]:
    path = data_dir / "images" / "index.json"
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        images = cast("list[dict[str, Any]]", raw["images"])
        return {Path(image["directory"]): list(image["aliases"]) for image in images}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenImageError(
            f"{path} is damaged ({error}); delete it and add the images again"
        ) from error


def _write_index(data_dir: Path, images: dict[Path, list[str]]) -> None:
    content = {
        "images": [{"directory": str(path), "aliases": given} for path, given in images.items()]
    }
    target = _images_dir(data_dir) / "index.json"
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".index-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    Path(temporary).replace(target)
