"""The private tree of files of one container, in a mount namespace of its own.

It is the machine's tree with volumes mounted at their paths. A mount path that the machine does
not have is made in a layer over the nearest directory above it, in memory; the machine's own files
never change. All sources are cloned first, so that no mount hides what another one needs.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable
from typing import Any

from . import syscalls

_MIRROR_LIMIT = 4096
_LAYER_BYTES = 64 << 20


class Tree:
    """Builds the tree; use it once, in a mount namespace that is private.

    Args:
        scratch: an existing directory that nobody else uses.
        in_user_namespace: devices cannot be opened through a layer then.
    """

    def __init__(self, scratch: str, *, in_user_namespace: bool) -> None:
        self._scratch_path = scratch
        self._scratch = -1
        self._layers = 0
        self._in_user_namespace = in_user_namespace
        # Which areas belong to this namespace alone; the longest path that fits decides.
        self._areas: dict[str, bool] = {}
        self._machine_mounts: list[str] | None = None

    def build(self, mounts: list[dict[str, Any]], keep: list[str], ids: Ids | None) -> None:
        """Mount everything.

        Args:
            mounts: `source`, `sub` (below the source), `target` and `readOnly` of each.
            keep: paths that must stay visible, whatever is mounted above them.
            ids: the user who must be able to reach the kept paths, where it is another one.
        Raises:
            OSError: with the mount that cannot be made.
        """
        clones = [_clone_source(item["source"], item.get("sub") or "") for item in mounts]
        kept = {path: (syscalls.clone_mount(path), _identity(path)) for path in keep}
        targets = [os.path.realpath(item["target"]) for item in mounts]
        if any(_nearest(target) == "/" for target in targets):
            self._replace_root()
        self._open_scratch()
        self._uncover(keep, ids)
        for target, clone in sorted(zip(targets, clones, strict=True)):
            self._place(clone, target)
        for path, (clone, identity) in kept.items():
            if _identity(path) == identity:
                os.close(clone)
            else:
                self._place(clone, path)
        for item, target in zip(mounts, targets, strict=True):
            if item["readOnly"]:
                syscalls.set_read_only(target)
        os.close(self._scratch)

    def _place(self, clone: int, target: str) -> None:
        is_directory = stat.S_ISDIR(os.fstat(clone).st_mode)
        if not os.path.exists(target):
            above = _nearest(target)
            if not self._is_private(above):
                self._open_up(above)
            os.makedirs(target if is_directory else os.path.dirname(target), exist_ok=True)
            if not is_directory:
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        elif os.path.isdir(target) != is_directory:
            kind = "a directory" if is_directory else "a file"
            raise OSError(f"{target}: the volume is {kind}, what is there is none")
        syscalls.attach(clone, target)
        os.close(clone)
        self._areas[target] = True

    def _is_private(self, path: str) -> bool:
        fitting = [area for area in self._areas if is_below(path, area)]
        return self._areas[max(fitting, key=len)] if fitting else False

    # New places in the machine's directories

    def _open_up(self, directory: str) -> None:
        """Let new entries be made in `directory` that only this namespace has."""
        if directory == "/dev" and self._in_user_namespace:
            self._mirror(directory)
        else:
            try:
                self._overlay(directory)
            except OSError:
                self._mirror(directory)

    def _overlay(self, directory: str) -> None:
        inner = [(path, syscalls.clone_mount(path)) for path in self._mounts_below(directory)]
        self._layers += 1
        root = f"/proc/self/fd/{self._scratch}/{self._layers}"
        for path in (root, f"{root}/upper", f"{root}/work"):
            os.mkdir(path)
        found = os.stat(directory)
        os.chmod(f"{root}/upper", stat.S_IMODE(found.st_mode))
        with contextlib.suppress(OSError):
            os.chown(f"{root}/upper", found.st_uid, found.st_gid)
        lower = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        options = f"lowerdir=/proc/self/fd/{lower},upperdir={root}/upper,workdir={root}/work"
        syscalls.mount("overlay", directory, options)
        os.close(lower)
        self._areas[directory] = True
        for path, clone in inner:
            syscalls.attach(clone, path)
            os.close(clone)
            self._areas[path] = False

    def _mounts_below(self, directory: str) -> list[str]:
        """The topmost mount points inside `directory`."""
        # Read once, for it is on the way of every start; what was mounted since is known.
        if self._machine_mounts is None:
            self._machine_mounts = _mount_points()
        found: list[str] = []
        for point in sorted({*self._machine_mounts, *self._areas}):
            inside = point != directory and is_below(point, directory)
            if inside and not any(is_below(point, other) for other in found):
                found.append(point)
        return found

    def _mirror(self, directory: str) -> None:
        entries = _clone_entries(directory)
        mode = stat.S_IMODE(os.stat(directory).st_mode)
        syscalls.mount("tmpfs", directory, f"mode={mode:o},size={_LAYER_BYTES}")
        self._fill(entries, directory)

    def _replace_root(self) -> None:
        entries = _clone_entries("/")
        syscalls.mount("tmpfs", self._scratch_path, f"mode=755,size={_LAYER_BYTES}")
        self._fill(entries, self._scratch_path)
        syscalls.change_root(self._scratch_path)
        self._areas = {"/": True, **{f"/{name}": False for name, _ in entries}}

    def _fill(self, entries: list[tuple[str, str | int]], directory: str) -> None:
        self._areas[directory] = True
        for name, what in entries:
            place = os.path.join(directory, name)
            if isinstance(what, str):
                os.symlink(what, place)
                continue
            if stat.S_ISDIR(os.fstat(what).st_mode):
                os.mkdir(place)
            else:
                os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
            syscalls.attach(what, place)
            os.close(what)
            self._areas[place] = False

    def _open_scratch(self) -> None:
        syscalls.mount("tmpfs", self._scratch_path, f"mode=755,size={_LAYER_BYTES}")
        self._scratch = os.open(self._scratch_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    # Paths that another user may not pass

    def _uncover(self, keep: Iterable[str], ids: Ids | None) -> None:
        """Replace the directories that bar the user's way by empty ones."""
        if ids is None:
            return
        for path in keep:
            barrier = ids.barrier(path)
            if barrier and not self._is_private(barrier):
                syscalls.mount("tmpfs", barrier, f"mode=755,size={_LAYER_BYTES}")
                self._areas[barrier] = True


class Ids:
    """A user as permission bits see him."""

    def __init__(self, user: int, groups: Iterable[int]) -> None:
        self.user = user
        self.groups = frozenset(groups)

    def barrier(self, path: str) -> str:
        """The first directory on the way to `path` that the user may not pass, or nothing."""
        way = ""
        for name in path.strip("/").split("/"):
            way = f"{way}/{name}"
            try:
                found = os.stat(way)
            except OSError:
                return ""
            if stat.S_ISDIR(found.st_mode) and not self._may_pass(found):
                return way
        return ""

    def _may_pass(self, found: os.stat_result) -> bool:
        if found.st_uid == self.user:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid in self.groups:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def is_below(path: str, area: str) -> bool:
    """Whether `path` is `area` or inside it."""
    return path == area or path.startswith(area.rstrip("/") + "/")


def _clone_source(source: str, sub: str) -> int:
    """Clone a volume or what `sub` names in it, which must not lead out of it."""
    path = os.path.join(source, sub) if sub else source
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        place = f"/proc/self/fd/{handle}"
        if not is_below(os.readlink(place), os.path.realpath(source)):
            raise OSError(f"subPath {sub!r} leaves its volume")
        return syscalls.clone_mount(place)
    finally:
        os.close(handle)


def _clone_entries(directory: str) -> list[tuple[str, str | int]]:
    """What a directory holds: the target of each link, a clone of everything else."""
    found: list[tuple[str, str | int]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if len(found) == _MIRROR_LIMIT:
                raise OSError(f"{directory} has more than {_MIRROR_LIMIT} entries")
            if entry.is_symlink():
                found.append((entry.name, os.readlink(entry.path)))
            else:
                found.append((entry.name, syscalls.clone_mount(entry.path)))
    return found


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [_unescape(line.split(" ", 5)[4]) for line in file]


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), text)


def _nearest(path: str) -> str:
    """The nearest existing directory at or above `path`."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)
