"""How the demo shows what happens."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.demo.burst import Image
from examples.demo.timeline import Sample

console = Console(highlight=False)


def progress() -> Progress:
    """A bar that counts finished requests."""
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def requests_table(images: list[Image]) -> Table:
    """One line per request."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("request", justify="right")
    table.add_column("pod")
    table.add_column("queued ms", justify="right")
    table.add_column("served ms", justify="right")
    for image in images:
        table.add_row(
            str(image.number),
            image.pod,
            f"{(image.dispatched - image.sent) * 1000:.0f}",
            f"{(image.answered - image.dispatched) * 1000:.0f}",
        )
    return table


def pods_table(samples: list[Sample]) -> Table:
    """The pods over time, a line per change, with a bar of one mark per pod."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("second", justify="right")
    table.add_column("pods", justify="right")
    table.add_column("[green]ready[/] [yellow]starting[/] [red]leaving[/]")
    for sample in samples:
        bar = (
            f"[green]{'█' * sample.ready}[/]"
            f"[yellow]{'▒' * sample.starting}[/]"
            f"[red]{'░' * sample.leaving}[/]"
        )
        table.add_row(f"{sample.seconds:.1f}", str(sample.total), bar)
    return table
