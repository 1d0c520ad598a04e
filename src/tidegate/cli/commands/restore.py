"""`tidegate restore`: make a data directory what it was when a backup was taken.

All is unpacked and checked beside what it replaces before anything is touched. While parts are
being exchanged a marker lies in the directory; a platform does not start on a half-restored one.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from tidegate.apiserver.storage import snapshot
from tidegate.cli import archive
from tidegate.cli.archive import Manifest
from tidegate.cli.commands.backup import DIRECTORIES, FILES, STORE
from tidegate.cli.records.files import prepare_data_dir
from tidegate.cli.records.settings import Settings, shipped_images
from tidegate.cli.terminal import err, escape, print_json
from tidegate.kube.errors import UserError

# What clients have seen since the backup is forgotten. Versions go on far above all that was ever
# given, so that whoever watches from such a version gets 410 Gone and lists again; etcd's
# restore advises the same distance.
_VERSION_GAP = 1_000_000_000
# Other options are called as the settings are.
_OPTIONS = {"tls_certificate": "tls-cert"}


def run(data_dir: Path, source: Path, *, force: bool, output: str) -> None:
    """Restore and say how to go on.

    Raises:
        UserError: the backup cannot be used, a platform runs on the directory, or one was there
            and `force` is not given.
    """
    if not source.is_file():
        raise UserError(f"there is no file {source}")
    prepare_data_dir(data_dir)
    settings = Settings(data_dir)
    with settings.hold():
        if (data_dir / STORE).exists() and not force:
            raise UserError(
                f"{data_dir} holds a platform already: restore into another directory"
                " (--data-dir), or replace this one's state with --force"
            )
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=data_dir) as scratch:
            staged = Path(scratch)
            manifest = archive.extract(source, staged)
            version = _prepare_store(staged / STORE, data_dir / STORE, source)
            _exchange(settings, staged)
    _show(manifest, settings, source, version, output)


def _prepare_store(staged: Path, present: Path, source: Path) -> int:
    if not staged.is_file():
        raise archive.ArchiveError(f"the backup {source} is damaged: it holds no {STORE}")
    contents = snapshot.check(staged)
    version = max(contents.version, snapshot.last_version(present)) + _VERSION_GAP
    snapshot.advance(staged, version)
    return version


def _exchange(settings: Settings, staged: Path) -> None:
    data_dir = settings.data_dir
    settings.restoring_file.touch(mode=0o600)
    archive.sync_directory(data_dir)
    for suffix in ("-wal", "-shm"):
        (data_dir / f"{STORE}{suffix}").unlink(missing_ok=True)
    for name in (*DIRECTORIES, *FILES, STORE):
        _replace(data_dir / name, staged / name)
    archive.sync_directory(data_dir)
    settings.restoring_file.unlink()
    archive.sync_directory(data_dir)


def _replace(target: Path, new: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    if new.exists():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.replace(target)


def _show(manifest: Manifest, settings: Settings, source: Path, version: int, output: str) -> None:
    start = " ".join(["tidegate up -d", *_options(manifest, settings)])
    if output == "json":
        print_json(
            {
                "file": str(source),
                "dataDir": str(settings.data_dir),
                "created": manifest.created,
                "objects": manifest.objects,
                "resourceVersion": str(version),
                "start": start,
            }
        )
        return
    err.print(
        f"{escape(str(settings.data_dir))}: {manifest.objects} objects of {manifest.created};"
        f" start it with:  {escape(start)}",
        soft_wrap=True,
    )


def _options(manifest: Manifest, settings: Settings) -> list[str]:
    """The options with which the platform is where its kubeconfigs expect it."""
    known = {
        k: v for k, v in manifest.settings.items() if k != "image_dirs" and hasattr(settings, k)
    }
    then = replace(settings, **known)
    usual = Settings(settings.data_dir)
    changed = [
        f"--{_OPTIONS.get(name, name.replace('_', '-'))} {getattr(then, name)}"
        for name in known
        if getattr(then, name) != getattr(usual, name)
    ]
    shipped = {str(path) for path in shipped_images()}
    images = [path for path in manifest.settings.get("image_dirs", ()) if path not in shipped]
    return [f"--data-dir {settings.data_dir}", *changed, *(f"--images {path}" for path in images)]
