"""The options that several commands have, and what is made of their values."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.records.files import default_data_dir
from tidegate.kube.errors import UserError

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where the platform keeps everything (default: $TIDEGATE_HOME or ~/.tidegate).",
        metavar="DIRECTORY",
        show_default=False,
    ),
]


class OutputFormat(StrEnum):
    """For people, or for programs."""

    text = "text"
    json = "json"


Output = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="For people, or for programs.")
]

Bind = Annotated[str, typer.Option(help="Address to listen on.", metavar="ADDRESS")]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Run in the background; return when it serves.")
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        help="Certificate (PEM, with its chain) to show over HTTPS instead of self-made ones.",
        metavar="FILE",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(help="Private key (PEM, not encrypted) of --tls-cert.", metavar="FILE"),
]
MaxRevisions = Annotated[
    int,
    typer.Option(
        help="Revisions with a containerConcurrency that can have traffic or pods at once, as"
        " many without one, and as many pods of those with one. A thousand take 38 MB.",
        min=16,
        max=16_384,
        metavar="NUMBER",
    ),
]


def port_option(text: str, *, envvar: str | None = None, least: int = 1) -> Any:
    """An option whose value is a port, `least` or more."""
    return typer.Option(help=text, envvar=envvar, min=least, max=65535, metavar="PORT")


def certificate_files(
    certificate: Path | None, key: Path | None
) -> tuple[Path | None, Path | None]:
    """What --tls-cert and --tls-key name, wherever the program goes on.

    Raises:
        UserError: one is given without the other.
    """
    if (certificate is None) != (key is None):
        raise UserError("--tls-cert and --tls-key belong together: give both or neither")
    return (
        certificate and certificate.expanduser().absolute(),
        key and key.expanduser().absolute(),
    )


def image_directory(path: Path) -> Path:
    """What --images names.

    Raises:
        UserError: it is no directory.
    """
    if not path.is_dir():
        raise UserError(f"--images {path}: there is no such directory")
    return path.absolute()


def data_directory(given: Path | None) -> Path:
    """What --data-dir names, or the place where a platform is without it."""
    return (given or default_data_dir()).expanduser().absolute()
