"""Service account tokens: what they say and when they stop being good."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from tests.support.virtual_clock import VirtualClock
from tidegate.apiserver.authn.tokens import ISSUER, BoundTo, TokenIssuer
from tidegate.apiserver.certificates import ensure_pki
from tidegate.kube.errors import Unauthorized


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def issuer(tmp_path: Path, clock: VirtualClock) -> TokenIssuer:
    pki = ensure_pki(tmp_path, server_names=("a",), admin="a", admin_groups=(), now=1_800_000_000.0)
    return TokenIssuer(pki.token_key, clock=clock)


def issue(issuer: TokenIssuer, **options: object) -> str:
    arguments = {"namespace": "ns", "name": "sa", "uid": "u1", **options}
    return issuer.issue(**arguments)[0]  # type: ignore[arg-type]


def test_a_token_says_who_it_is_for(issuer: TokenIssuer, clock: VirtualClock) -> None:
    token = issue(issuer, bound_to=BoundTo("Pod", "p", "pu"), seconds=600)
    identity = issuer.verify(token)
    assert (identity.namespace, identity.name, identity.uid) == ("ns", "sa", "u1")
    assert identity.bound_to == BoundTo("Pod", "p", "pu")
    assert identity.expires_at == int(clock.time()) + 600


async def test_it_expires_to_the_second(issuer: TokenIssuer, clock: VirtualClock) -> None:
    token = issue(issuer, seconds=600)
    await clock.advance(599)
    issuer.verify(token)
    await clock.advance(1)
    with pytest.raises(Unauthorized, match="expired"):
        issuer.verify(token)


def test_another_audience_is_refused(issuer: TokenIssuer) -> None:
    token = issue(issuer, audiences=["vault"])
    with pytest.raises(Unauthorized, match="audiences"):
        issuer.verify(token)
    assert issuer.verify(token, audiences=["vault"]).audiences == ("vault",)


def test_a_changed_token_and_a_foreign_key_are_refused(
    issuer: TokenIssuer, tmp_path: Path, clock: VirtualClock
) -> None:
    head, body, signature = issue(issuer).split(".")
    with pytest.raises(Unauthorized, match="not one of ours"):
        issuer.verify(f"{head}.{body[:-2]}AA.{signature}")
    other = ensure_pki(
        tmp_path / "other", server_names=("a",), admin="a", admin_groups=(), now=1_800_000_000.0
    )
    foreign = issue(TokenIssuer(other.token_key, clock=clock))
    with pytest.raises(Unauthorized, match="not one of ours"):
        issuer.verify(foreign)


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 20_000, "eyJhbGciOiJub25lIn0.e30."])
def test_garbage_is_refused(issuer: TokenIssuer, token: str) -> None:
    with pytest.raises(Unauthorized):
        issuer.verify(token)


def test_the_published_key_verifies_a_token(issuer: TokenIssuer) -> None:
    token = issue(issuer)
    (published,) = issuer.key_set()["keys"]
    assert jwt.get_unverified_header(token)["kid"] == published["kid"]
    claims = jwt.decode(
        token,
        jwt.PyJWK(published).key,
        algorithms=["ES256"],
        audience=ISSUER,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["sub"] == "system:serviceaccount:ns:sa"
