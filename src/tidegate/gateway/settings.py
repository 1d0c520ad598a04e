"""What the operator can choose about the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TlsSettings:
    """HTTPS beside HTTP; paths are of PEM files.

    Attributes:
        port: the port clients connect to.
        certificate, key: shown for every host without a certificate of its own, both or neither.
        authority_certificate, authority_key: sign certificates for those hosts, where none is
            given.
    """

    port: int
    certificate: Path | None = None
    key: Path | None = None
    authority_certificate: Path | None = None
    authority_key: Path | None = None


@dataclass(frozen=True)
class GatewaySettings:
    """Where and how large.

    Attributes:
        name: of this gateway among several.
        reports: whether it writes the status of routes; one of several gateways does.
        endures: whether it goes on for ever without a control plane while it is alone. One that
            does not may be lost while it is alone: others know when its places are free.
        data_dir: Tidegate's data directory; the gateway keeps its files in `gateway` under it.
        bind: the address clients connect to.
        port: the port clients connect to.
        limited_slots: revisions with a containerConcurrency that can have traffic or pods at once.
        unlimited_slots: the same for revisions without.
        stages: pods of revisions with a containerConcurrency, over all of them.
        max_queued: requests of one revision that may wait, for a slot or for the first pod.
        hold_seconds: how long a request may wait at most.
        threads: of HAProxy; 0 for one per two cores.
        lease_seconds: how long this gateway may be silent before others count its places as lost.
        tls: None for a gateway that speaks plain HTTP only.
        port_option: what the operator changes `port` with, for messages.
    """

    data_dir: Path
    bind: str = "127.0.0.1"
    port: int = 8080
    limited_slots: int = 1024
    unlimited_slots: int = 1024
    stages: int = 1024
    max_queued: int = 10_000
    hold_seconds: int = 600
    threads: int = 0
    name: str = "gateway"
    reports: bool = True
    endures: bool = True
    lease_seconds: int = 60
    tls: TlsSettings | None = None
    port_option: str = "--gateway-port"
