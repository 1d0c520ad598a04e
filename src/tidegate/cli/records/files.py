"""The data directory and the files in it that commands write: private, and whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tidegate.kube.errors import UserError


def default_data_dir() -> Path:
    """`TIDEGATE_HOME`, else `~/.tidegate`.

    Raises:
        UserError: neither is known.
    """
    home = os.environ.get("TIDEGATE_HOME")
    if home:
        return Path(home)
    try:
        return Path.home() / ".tidegate"
    except RuntimeError as error:
        raise UserError(
            "this user has no home directory: set TIDEGATE_HOME, or give --data-dir"
        ) from error


def prepare_data_dir(path: Path) -> None:
    """Make the data directory, readable by its owner only.

    Raises:
        UserError: it cannot be made, written or kept private.
    """
    advice = "choose another with --data-dir or TIDEGATE_HOME"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        (path / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot use the data directory {path}: {error.strerror}; {advice}") from (
            error
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to the data directory {path}; {advice}")


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Put a record for later commands in the place of the last one, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    temporary = path.with_suffix(".new")
    with writing(path):
        temporary.write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
        temporary.replace(path)


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Say of what the machine refuses in the context that it was about this file.

    Raises:
        UserError: it has refused something.
    """
    try:
        yield
    except OSError as error:
        remedy = "free some space there" if error.errno == errno.ENOSPC else "see to its rights"
        raise UserError(
            f"cannot write {path}: {error.strerror}; {remedy}, or choose another directory with"
            " --data-dir"
        ) from error
