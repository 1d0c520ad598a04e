"""Files of a volume that change all at once, as kubelet keeps them.

The files lie in a directory of their own, `..data` is a link to it, and what programs read are
links through `..data`: one rename brings all new contents, and nobody ever sees half of them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DATA = "..data"


@dataclass(frozen=True)
class File:
    """Contents, permission bits, and the owner where it is not the platform itself."""

    content: bytes
    mode: int = 0o644
    user: int | None = None


def write_payload(directory: Path, files: Mapping[str, File], *, group: int | None = None) -> bool:
    """Bring the files of `directory` to `files`, keys being relative paths; whether any changed.

    Args:
        group: gets the files and may read them (`fsGroup`).
    """
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.chmod(0o755)
    data = directory / _DATA
    if data.is_dir() and _same(data, files, group):
        return False
    fresh = Path(tempfile.mkdtemp(dir=directory, prefix="..new-"))
    fresh.chmod(0o755)
    try:
        for name, file in files.items():
            _write(fresh / name, file, group)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    former = data.readlink() if data.is_symlink() else None
    link = directory / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.replace(data)
    _link_names(directory, {name.partition("/")[0] for name in files})
    if former is not None:
        shutil.rmtree(directory / former, ignore_errors=True)
    return True


def _same(data: Path, files: Mapping[str, File], group: int | None) -> bool:
    found = _files_of(data.resolve())
    if found.keys() != files.keys():
        return False
    return all(
        path.stat().st_mode & 0o7777 == _mode(files[name], group)
        and path.read_bytes() == files[name].content
        for name, path in found.items()
    )


def _files_of(directory: Path) -> dict[str, Path]:
    return {
        str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()
    }


def _write(path: Path, file: File, group: int | None) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as target:
        target.write(file.content)
        give(handle, user=file.user, group=group)
        os.fchmod(handle, _mode(file, group))


def _mode(file: File, group: int | None) -> int:
    return file.mode if group is None else file.mode | 0o440


def give(handle: int | Path, *, user: int | None, group: int | None) -> None:
    """Change an owner, where we may: only root can give files away."""
    if os.geteuid() == 0 and not (user is None and group is None):
        os.chown(handle, -1 if user is None else user, -1 if group is None else group)


def _link_names(directory: Path, names: set[str]) -> None:
    for name in names:
        place = directory / name
        if not place.is_symlink():
            place.symlink_to(Path(_DATA) / name)
    for place in directory.iterdir():
        if place.is_symlink() and not place.name.startswith("..") and place.name not in names:
            place.unlink()
