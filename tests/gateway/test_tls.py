"""HTTPS in front: which certificate is shown for which host, as routes and Secrets change."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from tests.gateway.clients import Request
from tests.gateway.tls import TlsWorld, authority, pems, server, write_pair
from tests.gateway.world import NAMESPACE, World, free_port, running_gateway
from tidegate.apis.networking import INGRESSES as KINGRESSES
from tidegate.gateway.assembly import TlsSettings
from tidegate.gateway.certificates import CertificateError, of_secret, pattern_of
from tidegate.kube.clock import SystemClock
from tidegate.kube.errors import UserError
from tidegate.kube.objects import Object
from tidegate.kube.resources import SECRETS


@pytest_asyncio.fixture
async def tls(tmp_path: Path) -> AsyncIterator[TlsWorld]:
    signer = authority("signer")
    certificate, key = write_pair(tmp_path, "ca", signer)
    settings = TlsSettings(free_port(), authority_certificate=certificate, authority_key=key)
    async with running_gateway(tmp_path, tls=settings) as world:
        yield TlsWorld(world, settings.port, signer)


async def secret(
    world: World, name: str, certificate: bytes, key: bytes, *, change: bool = False
) -> None:
    def text(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    obj: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"tls.crt": text(certificate), "tls.key": text(key)},
    }
    if change:
        known = await world.get(SECRETS, name)
        obj["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
        await world.client.update(SECRETS, obj)
    else:
        await world.client.create(SECRETS, obj)


async def map_domain(world: World, host: str, revision: str, secret_name: str) -> None:
    """A KIngress as a DomainMapping with a certificate makes it."""
    await world.route("mapped", {revision: 100}, hosts=(host,))
    known = await world.get(KINGRESSES, "mapped")
    entry = {"hosts": [host], "secretName": secret_name, "secretNamespace": NAMESPACE}
    await world.client.update(KINGRESSES, {**known, "spec": {**known["spec"], "tls": [entry]}})


async def problem(world: World) -> str:
    conditions = (await world.get(KINGRESSES, "mapped")).get("status", {}).get("conditions", [])
    return "".join(entry.get("message", "") for entry in conditions if entry["type"] == "Ready")


async def test_a_service_is_there_over_https_with_a_certificate_for_its_host(
    tls: TlsWorld,
) -> None:
    await tls.world.service("echo")

    answer = await tls.fetch("echo.default.localhost")

    got = answer.json()["headers"]
    assert answer.status == 200
    assert got["x-forwarded-proto"] == "https"
    assert got["forwarded"] == 'for="127.0.0.1";proto=https;host="echo.default.localhost"'
    assert (await tls.world.fetch("echo")).json()["headers"]["x-forwarded-proto"] == "http"


async def test_clients_choose_the_protocol_while_they_shake_hands(tls: TlsWorld) -> None:
    await tls.world.service("echo")
    for protocol in ("h2", "http/1.1"):
        _, writer = await tls.open("echo.default.localhost", alpn=protocol)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == protocol
        writer.transport.abort()


async def test_a_new_namespace_gets_its_certificate_while_connections_go_on(
    tls: TlsWorld,
) -> None:
    await tls.world.service("echo")
    reader, writer = await tls.open("echo.default.localhost")
    before = tls.world.gateway._plane.process.pid

    await tls.world.route("far", {"echo-00001": 100}, hosts=("far.away.localhost",))

    assert (await tls.fetch("far.away.localhost")).status == 200
    writer.write(b"GET /headers HTTP/1.1\r\nHost: echo.default.localhost\r\n\r\n")
    assert (await Request(reader, writer).answer()).status == 200
    assert tls.world.gateway._plane.process.pid == before


async def test_the_certificate_of_a_secret_is_shown_renewed_and_withdrawn(tls: TlsWorld) -> None:
    other = authority("other")
    await tls.world.service("echo")
    await secret(tls.world, "shop", *pems(server(other, "www.shop.example")))
    await map_domain(tls.world, "www.shop.example", "echo-00001", "shop")
    await tls.shows("www.shop.example", "www.shop.example")
    assert (await tls.fetch("www.shop.example", trusted=other)).status == 200

    renewed = server(other, "www.shop.example", "renewed.shop.example")
    await secret(tls.world, "shop", *pems(renewed), change=True)
    await tls.shows("www.shop.example", "www.shop.example", "renewed.shop.example")
    assert (await tls.fetch("www.shop.example", trusted=other)).status == 200

    await tls.world.client.delete(SECRETS, "shop", namespace=NAMESPACE)
    await tls.world.api.eventually(lambda: _says(tls.world, "Secret default/shop does not exist"))
    assert await tls.shown("www.shop.example") == {"localhost", "127.0.0.1"}
    await secret(tls.world, "shop", *pems(renewed))
    await tls.shows("www.shop.example", "www.shop.example", "renewed.shop.example")
    await tls.world.api.eventually(lambda: _says(tls.world, ""))


async def _says(world: World, text: str) -> bool:
    found = await problem(world)
    return text in found if text else not found


async def test_a_secret_is_shown_for_the_host_it_is_for_and_for_no_other(tls: TlsWorld) -> None:
    greedy = server(authority("other"), "www.shop.example", "*.default.localhost")
    await tls.world.service("echo")
    await secret(tls.world, "shop", *pems(greedy))
    await map_domain(tls.world, "www.shop.example", "echo-00001", "shop")
    await tls.shows("www.shop.example", "www.shop.example", "*.default.localhost")
    assert (await tls.fetch("echo.default.localhost")).status == 200


async def test_a_certificate_that_haproxy_refuses_is_named_and_hurts_nobody(
    tls: TlsWorld,
) -> None:
    # A key that agrees on secrets, and cannot sign.
    agreeing = x25519.X25519PrivateKey.generate()
    signer = authority("other")
    pair = server(signer, "www.shop.example")
    builder = x509.CertificateBuilder(
        issuer_name=pair.certificate.issuer,
        subject_name=pair.certificate.subject,
        public_key=agreeing.public_key(),
        serial_number=1,
        not_valid_before=pair.certificate.not_valid_before_utc,
        not_valid_after=pair.certificate.not_valid_after_utc,
    )
    certificate = builder.sign(signer.key, hashes.SHA256())
    key = agreeing.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    await tls.world.service("echo")
    await secret(tls.world, "shop", certificate.public_bytes(serialization.Encoding.PEM), key)

    await map_domain(tls.world, "www.shop.example", "echo-00001", "shop")

    await tls.world.api.eventually(lambda: _says(tls.world, "refused"))
    assert (await tls.fetch("echo.default.localhost")).status == 200
    await secret(tls.world, "shop", *pems(pair), change=True)
    await tls.shows("www.shop.example", "www.shop.example")


async def test_certificates_outlive_the_agent_and_come_back_with_haproxy(tls: TlsWorld) -> None:
    other = authority("other")
    await tls.world.service("echo")
    await secret(tls.world, "shop", *pems(server(other, "www.shop.example")))
    await map_domain(tls.world, "www.shop.example", "echo-00001", "shop")
    await tls.shows("www.shop.example", "www.shop.example")

    await tls.world.end_agent()
    assert (await tls.fetch("www.shop.example", trusted=other)).status == 200
    await tls.world.client.delete(SECRETS, "shop", namespace=NAMESPACE)
    await tls.world.start()
    await tls.shows("www.shop.example", "localhost", "127.0.0.1")

    await secret(tls.world, "shop", *pems(server(other, "www.shop.example")))
    await tls.shows("www.shop.example", "www.shop.example")
    os.kill(tls.world.gateway._plane.process.pid, signal.SIGKILL)

    async def is_back() -> bool:
        try:
            return (await tls.fetch("www.shop.example", trusted=other)).status == 200
        except OSError:
            return False

    await tls.world.api.eventually(is_back)
    assert (await tls.fetch("echo.default.localhost")).status == 200


async def test_a_haproxy_with_other_settings_takes_over_with_all_certificates(
    tls: TlsWorld,
) -> None:
    other = authority("other")
    await tls.world.service("echo")
    await secret(tls.world, "shop", *pems(server(other, "www.shop.example")))
    await map_domain(tls.world, "www.shop.example", "echo-00001", "shop")
    await tls.shows("www.shop.example", "www.shop.example")
    before = tls.world.gateway._plane.process.pid

    await tls.world.end_agent()
    tls.world.settings = replace(tls.world.settings, hold_seconds=60)
    await tls.world.start()

    assert tls.world.gateway._plane.process.pid != before
    await tls.shows("www.shop.example", "www.shop.example")
    await tls.world.in_rotation("echo-00001", 1)
    assert (await tls.fetch("www.shop.example", trusted=other)).status == 200
    answer = await tls.fetch("echo.default.localhost")
    assert answer.json()["headers"]["x-forwarded-proto"] == "https"


async def test_keys_are_readable_by_their_owner_only(tls: TlsWorld) -> None:
    await tls.world.service("echo")
    directory = tls.world.gateway._plane.paths.tls
    files = list(directory.iterdir())
    assert len(files) == 3  # the list, the default and that of the namespace
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


async def test_a_given_certificate_is_shown_for_every_host_and_taken_anew(
    tmp_path: Path,
) -> None:
    signer = authority("company")
    certificate, key = write_pair(tmp_path, "given", server(signer, "*.default.localhost"))
    settings = TlsSettings(free_port(), certificate=certificate, key=key)
    async with running_gateway(tmp_path, tls=settings) as world:
        tls = TlsWorld(world, settings.port, signer)
        await world.service("echo")
        assert (await tls.fetch("echo.default.localhost")).status == 200

        write_pair(tmp_path, "given", server(signer, "*.default.localhost", "new.example"))
        await world.gateway._plane.certificates.renew()

        assert await tls.shown("new.example") == {"*.default.localhost", "new.example"}
        certificate.write_text("nonsense")
        await world.gateway._plane.certificates.renew()
        assert (await tls.fetch("echo.default.localhost")).status == 200


async def redirected(world: World, *, option: str = "Redirected") -> None:
    known = await world.get(KINGRESSES, "echo")
    made = await world.client.update(
        KINGRESSES, {**known, "spec": {**known["spec"], "httpOption": option}}
    )
    generation = made["metadata"]["generation"]
    await world.api.eventually(lambda: world._is_routed("echo", generation))


async def test_plain_http_is_sent_to_https_where_that_is_asked_for(tls: TlsWorld) -> None:
    (pod,) = await tls.world.service("echo")
    await redirected(tls.world)

    answer = await tls.world.fetch("echo", "/a/b?c=d")

    assert answer.status == 301
    assert answer.headers["location"] == f"https://echo.default.localhost:{tls.port}/a/b?c=d"
    assert pod.seen == []
    assert (await tls.fetch("echo.default.localhost")).status == 200
    # A proxy in front has spoken TLS with the client already.
    behind = await tls.world.fetch("echo", headers={"X-Forwarded-Proto": "https"})
    assert behind.status == 200
    await redirected(tls.world, option="Enabled")
    assert (await tls.world.fetch("echo")).status == 200


async def test_a_gateway_without_https_says_that_it_cannot_redirect(world: World) -> None:
    await world.service("echo")
    await redirected(world)
    conditions = (await world.get(KINGRESSES, "echo"))["status"]["conditions"]
    assert any("--https-port" in condition.get("message", "") for condition in conditions)


async def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "given", server(authority("company"), "a.example"))
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        settings = TlsSettings(port, certificate=pair[0], key=pair[1])
        with pytest.raises(BaseExceptionGroup) as caught:
            async with running_gateway(tmp_path, tls=settings):
                pass
    said = caught.value.subgroup(UserError)
    assert said is not None
    assert f"127.0.0.1:{port}" in repr(said)
    assert "--https-port" in repr(said)


class Later(SystemClock):
    """Some days on."""

    def time(self) -> float:
        return super().time() + timedelta(days=340).total_seconds()


async def test_self_made_certificates_are_renewed_in_time(tls: TlsWorld) -> None:
    await tls.world.service("echo")
    kept = tls.world.gateway._plane.certificates
    ends = [await tls.ends(host) for host in ("echo.default.localhost", "localhost")]
    await kept.renew()
    assert [await tls.ends(host) for host in ("echo.default.localhost", "localhost")] == ends

    kept._clock = Later()
    await kept.renew()

    for host, end in zip(("echo.default.localhost", "localhost"), ends, strict=True):
        assert await tls.ends(host) > end + timedelta(days=300)
    assert (await tls.world.fetch("echo")).status == 200


def test_names_of_certificates() -> None:
    assert pattern_of("hello.default.localhost") == "*.default.localhost"
    assert pattern_of("www.example.com") == "*.example.com"
    assert pattern_of("example.com") == "example.com"
    assert pattern_of("intranet") == "intranet"


def encoded(certificate: bytes, key: bytes) -> Object:
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "metadata": {"name": "s", "namespace": "ns"},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items() if value},
    }


def test_what_a_secret_lacks_is_named() -> None:
    signer = authority("a")
    one, two = server(signer, "x.example"), server(signer, "x.example")
    for certificate, key, said in (
        (b"", one.key_pem, r"data\[tls.crt\] is missing"),
        (one.certificate_pem, b"", r"data\[tls.key\] is missing"),
        (b"nonsense", one.key_pem, "the certificate is no PEM"),
        (one.certificate_pem, b"nonsense", "the key is no unencrypted PEM"),
        (one.certificate_pem, two.key_pem, "not that of the first certificate"),
        (one.certificate_pem * 40, one.key_pem, "more than the 15000"),
    ):
        with pytest.raises(CertificateError, match=f"Secret ns/s: .*{said}"):
            of_secret(encoded(certificate, key))
    assert of_secret(encoded(one.certificate_pem, one.key_pem)).count(b"BEGIN") == 2
