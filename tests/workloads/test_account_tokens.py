"""Secrets that hold a service account's token."""

from __future__ import annotations

from base64 import b64decode

import jwt
import pytest

from tests.workloads.support import ROOT_CA, running_controllers
from tidegate.apiserver.authn.authenticator import Authenticator
from tidegate.kube.errors import Unauthorized
from tidegate.kube.objects import annotations_of
from tidegate.kube.resources import SECRETS, SERVICE_ACCOUNTS

UID = "kubernetes.io/service-account.uid"


def _account(name="robot"):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def _secret(name="s", account="robot", **annotations):
    named = {"kubernetes.io/service-account.name": account}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "annotations": {**named, **annotations}},
        "type": "kubernetes.io/service-account-token",
    }


async def _token(world, name="s"):
    return b64decode((await world.get(SECRETS, name))["data"]["token"]).decode()


async def _with_token(world):
    account = await world.client.create(SERVICE_ACCOUNTS, _account(), namespace="default")
    await world.client.create(SECRETS, _secret(), namespace="default")
    await world.settle()
    return account


def _user(world, token):
    return Authenticator(world.tokens, world.api.api.view).user_of_token(token)


async def test_the_secret_is_filled_and_its_token_is_the_accounts(tmp_path):
    async with running_controllers(tmp_path) as world:
        account = await _with_token(world)
        secret = await world.get(SECRETS, "s")
        held = {key: b64decode(value).decode() for key, value in secret["data"].items()}
        assert held["ca.crt"] == ROOT_CA
        assert held["namespace"] == "default"
        assert annotations_of(secret)[UID] == account["metadata"]["uid"]
        claims = jwt.decode(held["token"], options={"verify_signature": False})
        assert claims["iss"] == "kubernetes/serviceaccount"
        assert claims["kubernetes.io/serviceaccount/secret.name"] == "s"
        await world.clock.advance(1e9)
        user = _user(world, held["token"])
        assert user.name == "system:serviceaccount:default:robot"
        assert user.uid == account["metadata"]["uid"]
        assert "system:serviceaccounts:default" in user.groups


async def test_the_token_ends_with_the_secret(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _with_token(world)
        token = await _token(world)
        await world.client.delete(SECRETS, "s", namespace="default")
        with pytest.raises(Unauthorized, match="Secret of the token has been deleted"):
            _user(world, token)
        await world.client.create(SECRETS, _secret(), namespace="default")
        await world.settle()
        with pytest.raises(Unauthorized, match="does not hold it any more"):
            _user(world, token)
        assert _user(world, await _token(world)).name.endswith(":robot")


async def test_a_token_that_is_taken_out_is_replaced_and_good_no_longer(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _with_token(world)
        token = await _token(world)
        patch = {"data": {"token": None, "ca.crt": "eA=="}}
        await world.client.patch(SECRETS, "s", patch, namespace="default")
        await world.settle()
        assert await _token(world) != token
        assert b64decode((await world.get(SECRETS, "s"))["data"]["ca.crt"]).decode() == ROOT_CA
        with pytest.raises(Unauthorized):
            _user(world, token)


async def test_the_secret_goes_with_its_account(tmp_path):
    async with running_controllers(tmp_path) as world:
        await _with_token(world)
        token = await _token(world)
        await world.client.delete(SERVICE_ACCOUNTS, "robot", namespace="default")
        with pytest.raises(Unauthorized, match="service account"):
            _user(world, token)
        await world.client.create(SERVICE_ACCOUNTS, _account(), namespace="default")
        await world.settle()
        assert "s" not in await world.names(SECRETS)


@pytest.mark.parametrize("secret", [_secret(account="nobody"), _secret(**{UID: "another"})])
async def test_a_secret_of_no_account_is_deleted(tmp_path, secret):
    async with running_controllers(tmp_path) as world:
        await world.client.create(SERVICE_ACCOUNTS, _account(), namespace="default")
        await world.client.create(SECRETS, secret, namespace="default")
        await world.settle()
        assert "s" not in await world.names(SECRETS)


async def test_other_secrets_are_left_alone(tmp_path):
    async with running_controllers(tmp_path) as world:
        other = {**_secret(account="nobody"), "type": "Opaque"}
        made = await world.client.create(SECRETS, other, namespace="default")
        await world.settle()
        assert await world.get(SECRETS, "s") == made
