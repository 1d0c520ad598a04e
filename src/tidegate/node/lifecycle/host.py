"""What every pod's worker works with, put together once in `assembly`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tidegate.kube.client import Client
from tidegate.kube.clock import Clock
from tidegate.node.images.store import ImageStore
from tidegate.node.lifecycle.events import Events
from tidegate.node.lifecycle.placement import Placer
from tidegate.node.meter import Ledger
from tidegate.node.runtime.contract import Runtime


class TokenSource(Protocol):
    """Where the tokens of service accounts come from (the API's TokenRequest)."""

    async def token(
        self,
        *,
        namespace: str,
        service_account: str,
        pod_name: str,
        pod_uid: str,
        expiration_seconds: int,
        audiences: tuple[str, ...] = (),
    ) -> str:
        """A token bound to the pod; no audience means the API's own. Raises ApiError."""
        ...


@dataclass(frozen=True)
class Host:
    """The node, as a pod's worker sees it.

    Attributes:
        node_name: for `spec.nodeName`.
        data_dir: the platform's data directory.
        api_host, api_port: where pods find the Kubernetes API.
        ca_file: its certificate authority.
    """

    client: Client
    clock: Clock
    images: ImageStore
    runtime: Runtime
    placer: Placer
    ledger: Ledger
    events: Events
    tokens: TokenSource
    node_name: str
    data_dir: Path
    api_host: str
    api_port: int
    ca_file: Path
