"""`tidegate image`: which images the node knows, making one known, taking it back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from tidegate.cli.records.files import prepare_data_dir
from tidegate.cli.records.settings import load, shipped_images
from tidegate.cli.terminal import out, print_json
from tidegate.kube.errors import UserError
from tidegate.node.images import garbage, registry
from tidegate.node.images.errors import UnknownImageError


def add(data_dir: Path, directory: Path, aliases: Sequence[str]) -> None:
    """Record the image of `directory`; a pod that waits for it finds it at its next try."""
    prepare_data_dir(data_dir)
    source = registry.add(data_dir, directory.absolute(), aliases)
    out.print(f"image {source.manifest.name} added: {', '.join(source.references)}")


def forget(data_dir: Path, reference: str) -> None:
    """Take an added image back, with the copies of it that no pod needs."""
    prepare_data_dir(data_dir)
    search = _search_directories(data_dir)
    try:
        directory, name = registry.forget(data_dir, reference)
    except UnknownImageError as error:
        for source in registry.list_images(data_dir, search):
            if reference in source.references:
                raise UserError(
                    f"image {reference} was not added by hand: it comes with the directory"
                    f" {source.directory.parent} that the platform was started with"
                ) from error
        raise UserError(f"no image {reference} was added; see: tidegate image list") from error
    for item in garbage.unneeded(data_dir, search, least_age=0):
        if name and item.name == name:
            garbage.remove(item.path)
    out.print(f"image {reference} removed; its directory {directory} is left as it is")


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
