"""What the operator can choose about the console, and what it is given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ConsoleSettings:
    """Where it serves and who may read.

    Attributes:
        token_file: the access token; made if it is not there, readable by its owner only.
        bind: the address to serve on.
        port: the port, 0 for a free one.
        host_names: names under which browsers may ask for it, besides localhost and addresses.
    """

    token_file: Path
    bind: str = "127.0.0.1"
    port: int = 8081
    host_names: tuple[str, ...] = ()


class Usage(Protocol):
    """What one pod has used, from the preparation of its image until its end or now."""

    @property
    def namespace(self) -> str: ...

    @property
    def pod(self) -> str: ...

    @property
    def spec(self) -> str:
        """The instance spec it ran on."""
        ...

    @property
    def started(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def seconds(self) -> float: ...

    @property
    def cost(self) -> float:
        """In the currency of the price table."""
        ...

    @property
    def running(self) -> bool: ...


UsageSource = Callable[[], Sequence[Usage]]


class LogReader(Protocol):
    """Gives the output of containers."""

    def stream(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncGenerator[bytes]:
        """The output in pieces of whole lines. Raises ApiError: no such pod or container."""
        ...
