"""Which certificate HAProxy shows for which host: kept in line as routes and Secrets change.

Each certificate is a file beside a list that says for which names it is shown. HAProxy reads
both when it starts; while it runs, its admin socket takes the changes. A certificate from a Secret
is shown for the host it was given for and for no other, whatever else it names.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tidegate.gateway import certificates
from tidegate.gateway.certificates import CertificateError
from tidegate.gateway.haproxy.config import write_private
from tidegate.gateway.haproxy.paths import Paths
from tidegate.gateway.haproxy.socket import AdminError, AdminSocket
from tidegate.gateway.settings import GatewaySettings, TlsSettings
from tidegate.kube.certificates import Issued, load
from tidegate.kube.clock import Clock
from tidegate.kube.errors import UserError
from tidegate.kube.objects import Key, Object

logger = logging.getLogger(__name__)

SecretNamed = Callable[[Key], "Object | None"]

# The name of the certificate for clients that name no host, or one that is not known.
_DEFAULT = ""


class Certificates:
    """The certificates of one HAProxy.

    Args:
        settings: the operator's choices; without `tls` nothing is done.
        paths: HAProxy's files.
        admin: its admin socket.
        clock: for the ends of certificates.
    """

    def __init__(
        self, settings: GatewaySettings, paths: Paths, admin: AdminSocket, clock: Clock
    ) -> None:
        self._tls = settings.tls
        self._bind = settings.bind
        self._paths = paths
        self._admin = admin
        self._clock = clock
        self._secret_named: SecretNamed = _no_secret
        # Names that a KIngress needs, each with the Secret it has, and who needs a name.
        self._needs: dict[Key, dict[str, Key | None]] = {}
        self._users: dict[str, set[Key]] = {}
        self._changed: set[str] = set()
        self._problems: dict[str, str] = {}
        # What HAProxy shows, by name.
        self._present: dict[str, bytes] = {}
        if self._tls is not None:
            # A wrong file is said at once.
            _given(self._tls)

    @property
    def is_on(self) -> bool:
        """Whether the gateway speaks TLS at all."""
        return self._tls is not None

    def find_secrets(self, secret_named: SecretNamed) -> None:
        """Look Secrets up there."""
        self._secret_named = secret_named

    def serve(self, ingress: Key, hosts: Iterable[str], secrets: Mapping[str, Key]) -> None:
        """Have certificates for the hosts of a KIngress, from Secrets where it names them.

        To be called again when a Secret has changed.
        """
        if self._tls is None:
            return
        needs: dict[str, Key | None] = {}
        for host in hosts:
            if host in secrets:
                needs[host] = secrets[host]
            elif self._tls.certificate is None:
                needs.setdefault(certificates.pattern_of(host), None)
        for name in self._needs.pop(ingress, {}):
            self._users[name].discard(ingress)
            self._changed.add(name)
        for name in needs:
            self._users.setdefault(name, set()).add(ingress)
            self._changed.add(name)
        if needs:
            self._needs[ingress] = needs

    def withdraw(self, ingress: Key) -> None:
        """Have none for this KIngress any more."""
        self.serve(ingress, (), {})

    def problem(self, ingress: Key) -> str:
        """What is wrong with a certificate of the KIngress, empty if nothing is."""
        names = self._needs.get(ingress, {})
        return "; ".join(self._problems[name] for name in names if name in self._problems)

    async def flush(self) -> None:
        """Bring HAProxy in line with what has been asked for.

        Raises:
            AdminError: HAProxy refused or is gone; what is left is tried the next time.
        """
        for name in sorted(self._changed):
            wanted = self._wanted(name)
            if wanted != self._present.get(name):
                await self._try_change(name, wanted)
            self._changed.discard(name)

    def prepare(self) -> None:
        """Write everything for a HAProxy that is about to start.

        Raises:
            UserError: a file of the operator cannot be used.
        """
        if self._tls is None:
            return
        self._changed |= {_DEFAULT, *self._users}
        self._paths.tls.mkdir(mode=0o700, exist_ok=True)
        self._present = self._kept_default()
        for path in self._paths.tls.iterdir():
            path.unlink()
        for name in sorted(self._changed):
            bundle = self._wanted(name)
            if bundle is not None:
                self._present[name] = bundle
                self._write(name, bundle)
        self._changed.clear()
        lines = [f"{self._path(name)} {name}".rstrip() for name in sorted(self._present)]
        listing = self._paths.certificates
        write_private(listing.parent, listing.name, "".join(f"{line}\n" for line in lines))

    async def read_back(self) -> None:
        """Learn what the running HAProxy shows.

        Raises:
            AdminError: it does not answer.
        """
        if self._tls is None:
            return
        if self._tls.certificate is None:
            self._authority  # noqa: B018 - that it cannot be read is said now
        self._present = {}
        listing = await self._admin.read(f"show ssl crt-list {self._paths.certificates}")
        for line in listing.splitlines():
            if not line.startswith("/"):
                continue
            file, _, name = line.partition(" ")
            path = Path(file.partition(":")[0])
            with suppress(OSError):
                # What cannot be read, or is not that name's file, counts as unknown.
                self._present[name.strip()] = await asyncio.to_thread(path.read_bytes)
        self._changed |= {_DEFAULT, *self._users, *self._present}

    async def renew(self) -> None:
        """Replace what nears its end, and take new files of the operator.

        Raises:
            AdminError: HAProxy refused or is gone.
        """
        if self._tls is None:
            return
        now = self._clock.time()
        self._changed.add(_DEFAULT)
        for name, bundle in self._present.items():
            if self._is_self_made(name) and certificates.needs_renewal(bundle, now=now):
                self._changed.add(name)
        await self.flush()

    def _wanted(self, name: str) -> bytes | None:
        """The bundle to be shown for a name, None for none."""
        self._problems.pop(name, None)
        if name == _DEFAULT:
            return self._default()
        users = self._users.get(name)
        if not users:
            self._users.pop(name, None)
            return None
        key = self._needs[next(iter(users))][name]
        if key is None:
            return self._kept_or_made(name, [name])
        try:
            secret = self._secret_named(key)
            if secret is None:
                raise CertificateError(f"Secret {key} does not exist")
            return certificates.of_secret(secret)
        except CertificateError as error:
            self._problems[name] = f"host {name} is shown no certificate of its own: {error}"
            return None

    def _default(self) -> bytes | None:
        try:
            given = _given(self._tls) if self._tls else None
        except CertificateError as error:
            logger.error("gateway: %s; the one before stays in use", error)
            return self._present.get(_DEFAULT)
        return given or self._kept_or_made(_DEFAULT, ["localhost", self._bind])

    def _kept_default(self) -> dict[str, bytes]:
        with suppress(OSError):
            return {_DEFAULT: self._path(_DEFAULT).read_bytes()}
        return {}

    def _is_self_made(self, name: str) -> bool:
        if name == _DEFAULT:
            return self._tls is not None and self._tls.certificate is None
        return any(self._needs[user][name] is None for user in self._users.get(name, ()))

    def _kept_or_made(self, name: str, names: list[str]) -> bytes:
        now = self._clock.time()
        kept = self._present.get(name)
        if kept is not None and certificates.is_usable(kept, self._authority, names, now=now):
            return kept
        return certificates.self_made(self._authority, names, now=now)

    @cached_property
    def _authority(self) -> Issued:
        tls = self._tls
        if tls is None or tls.authority_certificate is None or tls.authority_key is None:
            raise UserError("HTTPS needs a certificate, or an authority that signs them")
        try:
            return load(tls.authority_certificate.read_bytes(), tls.authority_key.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot read {tls.authority_certificate} and its key: {error}"
            ) from error

    async def _try_change(self, name: str, bundle: bytes | None) -> None:
        try:
            await self._change(name, bundle)
        except AdminError as error:
            if error.is_gone:
                raise
            logger.error("gateway: %s", error)
            self._problems[name] = str(error)
            path = self._path(name)
            await self._admin.read(f"abort ssl cert {path}")
            if name not in self._present:
                await self._admin.read(f"del ssl cert {path}")

    async def _change(self, name: str, bundle: bytes | None) -> None:
        path = self._path(name)
        if bundle is None:
            await self._admin.read(f"del ssl crt-list {self._paths.certificates} {path}")
            await self._admin.read(f"del ssl cert {path}")
            self._present.pop(name, None)
            path.unlink(missing_ok=True)
            return
        is_new = name not in self._present
        if is_new:
            # It is there already where the last attempt got no further.
            await self._admin.read(f"new ssl cert {path}")
        self._check(name, await self._admin.load(f"set ssl cert {path}", bundle.decode()))
        self._check(name, await self._admin.read(f"commit ssl cert {path}"))
        self._write(name, bundle)
        if is_new:
            line = f"{path} {name}"
            answer = await self._admin.load(f"add ssl crt-list {self._paths.certificates}", line)
            self._check(name, answer)
        self._present[name] = bundle

    def _check(self, name: str, answer: str) -> None:
        if "Success!" not in answer and "Transaction" not in answer:
            raise AdminError(
                f"HAProxy refused the certificate for {name or 'all'}: {answer.strip()}"
            )

    def _write(self, name: str, bundle: bytes) -> None:
        write_private(self._paths.tls, self._path(name).name, bundle.decode())

    def _path(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode()).hexdigest()[:24]
        return self._paths.tls / f"{digest if name else 'default'}.pem"


def _given(tls: TlsSettings) -> bytes | None:
    if tls.certificate is None or tls.key is None:
        return None
    return certificates.of_files(tls.certificate, tls.key)


def _no_secret(_: Key) -> Object | None:
    return None
