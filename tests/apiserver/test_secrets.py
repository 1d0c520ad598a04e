"""Secrets hold what their type promises."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from tests.support.api import running_api
from tidegate.kube.errors import Invalid
from tidegate.kube.resources import SECRETS


def secret(kind: str, **data: str) -> dict[str, Any]:
    encoded = {
        key.replace("_", "."): b64encode(text.encode()).decode() for key, text in data.items()
    }
    return {
        "metadata": {"name": "s", "namespace": "default"},
        "type": f"kubernetes.io/{kind}",
        "data": encoded,
    }


@pytest.mark.parametrize(
    ("obj", "problem"),
    [
        (secret("tls", tls_crt="x"), "data[tls.key]: Required value"),
        (secret("dockerconfigjson"), "data[.dockerconfigjson]: Required value"),
        (
            secret("dockerconfigjson", _dockerconfigjson="{"),
            'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>"',
        ),
        (secret("ssh-auth"), "data[ssh-privatekey]: Required value"),
        (secret("basic-auth"), "data[username]: Required value"),
        (
            secret("service-account-token"),
            "metadata.annotations[kubernetes.io/service-account.name]: Required value",
        ),
    ],
)
async def test_what_a_type_asks_for(tmp_path, obj: dict[str, Any], problem: str) -> None:
    async with running_api(tmp_path) as api:
        with pytest.raises(Invalid) as refused:
            await api.client().create(SECRETS, obj)
        assert problem in str(refused.value)


@pytest.mark.parametrize(
    "obj",
    [
        secret("tls", tls_crt="", tls_key=""),
        secret("dockerconfigjson", _dockerconfigjson="{}"),
        secret("basic-auth", password="p"),
        {"metadata": {"name": "s", "namespace": "default"}, "type": "example.com/own"},
    ],
)
async def test_what_is_enough(tmp_path, obj: dict[str, Any]) -> None:
    async with running_api(tmp_path) as api:
        assert (await api.client().create(SECRETS, obj))["metadata"]["uid"]
