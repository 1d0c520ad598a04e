"""`tidegate backup`: all that makes a platform what it is, in one file, while it runs.

That is the store (every object, Secrets too), the certificate authority with all keys, so that
kubeconfigs and tokens go on being good, the console's token, the ledger of what pods cost, and
which images were added. Logs, images and their environments, and what pods wrote are not in it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from tidegate import __version__
from tidegate.apiserver.storage import snapshot
from tidegate.cli import archive
from tidegate.cli.archive import Manifest
from tidegate.cli.progress import progress
from tidegate.cli.records.settings import load
from tidegate.cli.terminal import err, escape, print_json
from tidegate.kube.clock import rfc3339
from tidegate.kube.errors import UserError

STORE = "state.db"
# Beside the store; what is not there is left out.
FILES = ("console-token", "meter/ledger.jsonl", "images/index.json")
DIRECTORIES = ("pki",)
SETTINGS = (
    "bind",
    "api_port",
    "gateway_port",
    "console_port",
    "https_port",
    "tls_certificate",
    "tls_key",
    "max_revisions",
)


def run(data_dir: Path, target: Path, *, force: bool, output: str) -> None:
    """Write the backup and say what is in it.

    Raises:
        UserError: there is no platform in `data_dir`, or the file cannot be written.
    """
    settings = load(data_dir)
    store = data_dir / STORE
    if not store.is_file():
        raise UserError(f"there is no store in {data_dir}: was the platform ever up?")
    if target.exists() and not force:
        raise UserError(f"{target} exists: choose another name, or replace it with --force")
    if not target.parent.is_dir():
        raise UserError(f"cannot write {target}: there is no directory {target.parent}")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=data_dir) as scratch:
        copied = Path(scratch) / STORE
        with progress("copying the store") as report:
            snapshot.copy(store, copied, report)
        contents = snapshot.check(copied)
        manifest = Manifest(
            tidegate=__version__,
            created=rfc3339(time.time()),
            version=contents.version,
            objects=contents.objects,
            settings={name: _plain(getattr(settings, name)) for name in SETTINGS}
            | {"image_dirs": [str(path) for path in settings.image_dirs]},
        )
        archive.write(target, manifest, {STORE: copied, **_members(data_dir)})
    _show(manifest, target, output)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _members(data_dir: Path) -> dict[str, Path]:
    directories = [data_dir / name for name in DIRECTORIES]
    paths = [path for directory in directories for path in sorted(directory.iterdir())]
    paths += [data_dir / name for name in FILES]
    return {str(path.relative_to(data_dir)): path for path in paths if path.is_file()}


def _show(manifest: Manifest, target: Path, output: str) -> None:
    size = target.stat().st_size
    if output == "json":
        answer: dict[str, Any] = {
            "file": str(target),
            "bytes": size,
            "created": manifest.created,
            "objects": manifest.objects,
            "resourceVersion": str(manifest.version),
        }
        print_json(answer)
        return
    err.print(
        f"{escape(str(target))}: {manifest.objects} objects at resourceVersion"
        f" {manifest.version}, {size:,} bytes; holds keys and secrets: keep it safe",
        soft_wrap=True,
    )
