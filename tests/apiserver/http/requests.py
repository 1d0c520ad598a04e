"""What tests ask of the API over HTTP, and how it refuses."""

from __future__ import annotations

from typing import Any

import httpx

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data,
    }


def refused(response: httpx.Response, code: int, reason: str) -> dict[str, Any]:
    """The Status of a refusal, which must be this one."""
    assert response.status_code == code, response.text
    status = response.json()
    assert (status["kind"], status["status"]) == ("Status", "Failure")
    assert (status["reason"], status["code"]) == (reason, code)
    return status
