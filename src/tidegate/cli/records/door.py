"""A gateway as the operator asks for it: the platform's own, or a further one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.gateway.settings import GatewaySettings, TlsSettings


@dataclass(frozen=True)
class Door:
    """Where a gateway listens, and how much it can serve.

    Attributes:
        directory: in which it keeps its files.
        bind, port: where clients connect.
        https_port: where they do by TLS, 0 for nowhere.
        tls_certificate, tls_key: PEM files shown to clients of every host that has no certificate
            of its own; without them the authority in `pki` signs some.
        pki: the directory of the platform's authority.
        max_revisions: revisions with a limit, as many without, and as many pods of those with one.
    """

    directory: Path
    bind: str
    port: int
    https_port: int
    tls_certificate: Path | None
    tls_key: Path | None
    pki: Path
    max_revisions: int

    @property
    def addresses(self) -> str:
        """What a client is told."""
        plain = f"http://{self.bind}:{self.port}"
        return f"{plain} and https://{self.bind}:{self.https_port}" if self.https_port else plain

    @property
    def options(self) -> list[str]:
        """The command line's options that say all this again, but for the port's."""
        options = [
            f"--bind={self.bind}",
            f"--https-port={self.https_port}",
            f"--max-revisions={self.max_revisions}",
        ]
        if self.tls_certificate and self.tls_key:
            options += [f"--tls-cert={self.tls_certificate}", f"--tls-key={self.tls_key}"]
        return options

    def settings(self) -> GatewaySettings:
        """For the platform's own gateway."""
        return GatewaySettings(
            self.directory,
            bind=self.bind,
            port=self.port,
            limited_slots=self.max_revisions,
            unlimited_slots=self.max_revisions,
            stages=self.max_revisions,
            tls=self._tls(),
        )

    def further(self, name: str) -> GatewaySettings:
        """For one more, which may be lost without anybody's knowing."""
        return replace(
            self.settings(), name=name, reports=False, endures=False, port_option="--port"
        )

    def _tls(self) -> TlsSettings | None:
        if not self.https_port:
            return None
        return TlsSettings(
            self.https_port,
            certificate=self.tls_certificate,
            key=self.tls_key,
            authority_certificate=self.pki / "ca.crt",
            authority_key=self.pki / "ca.key",
        )
