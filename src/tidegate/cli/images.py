"""`tidegate image`: which images the node knows, and making one known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from tidegate.cli import preflight
from tidegate.cli.settings import load, shipped_images
from tidegate.cli.terminal import out, print_json
from tidegate.kube.errors import UserError
from tidegate.node.images import registry


def add(data_dir: Path, directory: Path, aliases: Sequence[str]) -> None:
    """Record the image of `directory`; a pod that waits for it finds it at its next try."""
    preflight.prepare_data_dir(data_dir)
    source = registry.add(data_dir, directory.absolute(), aliases)
    out.print(f"image {source.manifest.name} added: {', '.join(source.references)}")


def show(data_dir: Path, *, output: str) -> None:
    """All images: those added and those of the directories the platform was started with."""
    sources = registry.list_images(data_dir, _search_directories(data_dir))
    if output == "json":
        print_json(
            [
                {
                    "name": source.manifest.name,
                    "directory": str(source.directory),
                    "references": list(source.references),
                }
                for source in sources
            ]
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "DIRECTORY", "REFERENCES"):
        table.add_column(column, overflow="fold")
    for source in sources:
        table.add_row(source.manifest.name, str(source.directory), "\n".join(source.references))
    out.print(table)


def _search_directories(data_dir: Path) -> Sequence[Path]:
    try:
        return load(data_dir).image_dirs
    except UserError:
        return shipped_images()
