"""A gateway with HTTPS, and authorities that sign certificates for its tests."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.gateway.clients import Answer, Request
from tests.gateway.world import World
from tidegate.kube import certificates
from tidegate.kube.certificates import Issued


def authority(name: str) -> Issued:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return certificates.new_authority(subject, now=datetime.now(UTC), life=timedelta(days=90))


def server(signer: Issued, *names: str) -> Issued:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    return certificates.issue_server(signer, subject, names, now=datetime.now(UTC))


def pems(pair: Issued) -> tuple[bytes, bytes]:
    return pair.certificate_pem, pair.key_pem


class TlsWorld:
    """A gateway with HTTPS, and who signs its certificates."""

    def __init__(self, world: World, port: int, signer: Issued) -> None:
        self.world = world
        self.port = port
        self.signer = signer

    async def open(
        self, host: str, *, trusted: Issued | None = None, alpn: str = "http/1.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=(trusted or self.signer).certificate_pem.decode())
        context.set_alpn_protocols([alpn])
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=host
        )

    async def fetch(self, host: str, **options: Any) -> Answer:
        reader, writer = await self.open(host, **options)
        writer.write(f"GET /headers HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return await Request(reader, writer).answer()

    async def shown(self, host: str) -> set[str]:
        """The names of the certificate shown for a host, whoever signed it."""
        return certificates.names_of(await self._certificate(host))

    async def ends(self, host: str) -> datetime:
        """When the certificate shown for a host ends."""
        return (await self._certificate(host)).not_valid_after_utc

    async def _certificate(self, host: str) -> x509.Certificate:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=host
        )
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return x509.load_der_x509_certificate(der)

    async def shows(self, host: str, *names: str) -> None:
        """Wait until that is so."""

        async def check() -> bool:
            return await self.shown(host) == set(names)

        await self.world.api.eventually(check)


def write_pair(directory: Path, name: str, pair: Issued) -> tuple[Path, Path]:
    files = directory / f"{name}.crt", directory / f"{name}.key"
    files[0].write_bytes(pair.certificate_pem)
    files[1].write_bytes(pair.key_pem)
    return files
