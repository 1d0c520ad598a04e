"""Keys and certificates: made once, renewed in time, never readable by others."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from tidegate.apiserver.certificates import Pki, ensure_pki
from tidegate.apiserver.kubeconfig import write_kubeconfig
from tidegate.kube.errors import UserError

NOW = 1_800_000_000.0
DAY = 86400.0


def make(directory: Path, *, now: float = NOW, names: tuple[str, ...] = ("127.0.0.1",)) -> Pki:
    return ensure_pki(
        directory, server_names=names, admin="admin", admin_groups=("system:masters",), now=now
    )


def test_everything_is_private(tmp_path: Path) -> None:
    make(tmp_path / "pki")
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    for path in (tmp_path / "pki").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    make(tmp_path, now=NOW + 300 * DAY)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_leaves_are_renewed_near_their_end_and_the_authority_stays(tmp_path: Path) -> None:
    pki = make(tmp_path)
    authority, server = pki.authority.certificate.read_bytes(), pki.server.certificate.read_bytes()
    make(tmp_path, now=NOW + 340 * DAY)
    assert pki.authority.certificate.read_bytes() == authority
    assert pki.server.certificate.read_bytes() != server


def test_a_new_name_gives_a_new_server_certificate(tmp_path: Path) -> None:
    pki = make(tmp_path, names=("127.0.0.1", "localhost"))
    admin = pki.admin.certificate.read_bytes()
    make(tmp_path, names=("127.0.0.1", "localhost", "other.example"))
    certificate = x509.load_pem_x509_certificate(pki.server.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "other.example"]
    assert pki.admin.certificate.read_bytes() == admin


def test_a_key_left_without_its_certificate_is_replaced(tmp_path: Path) -> None:
    pki = make(tmp_path)
    pki.server.key.write_bytes(pki.admin.key.read_bytes())
    before = pki.server.certificate.read_bytes()
    make(tmp_path)
    assert pki.server.certificate.read_bytes() != before


def test_broken_files_are_named(tmp_path: Path) -> None:
    pki = make(tmp_path)
    pki.authority.certificate.write_text("no certificate")
    with pytest.raises(UserError, match="keys in"):
        make(tmp_path)


def test_the_kubeconfig_embeds_everything_and_is_private(tmp_path: Path) -> None:
    pki = make(tmp_path / "pki")
    path = tmp_path / "kubeconfig"
    arguments = {
        "server": "https://127.0.0.1:6443",
        "authority": pki.authority.certificate,
        "client": pki.admin,
    }
    write_kubeconfig(path, **arguments)
    written = path.stat().st_mtime_ns
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = yaml.safe_load(path.read_text())
    cluster = document["clusters"][0]["cluster"]
    embedded = base64.b64decode(cluster["certificate-authority-data"])
    assert embedded == pki.authority.certificate.read_bytes()
    assert cluster["server"] == "https://127.0.0.1:6443"
    write_kubeconfig(path, **arguments)
    assert path.stat().st_mtime_ns == written
