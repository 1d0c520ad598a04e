"""The kubeconfig for the administrator: one file, everything embedded, readable by its owner."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from tidegate.apiserver.certificates import KeyPair, write_private


def write_kubeconfig(
    path: Path, *, server: str, authority: Path, client: KeyPair, name: str = "tidegate"
) -> None:
    """Write the kubeconfig when it is missing or differs.

    Args:
        path: the file; its directory exists.
        server: base URL of the API.
        authority: certificate (PEM) of the authority that signed the server's.
        client: certificate and key of the user.
        name: of the cluster, the context and the user's prefix.
    """
    content = yaml.safe_dump(_document(server, authority, client, name), sort_keys=False).encode()
    if not path.exists() or path.read_bytes() != content:
        write_private(path, content)


def _document(server: str, authority: Path, client: KeyPair, name: str) -> dict[str, Any]:
    user = f"{name}-admin"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _embedded(authority),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _embedded(client.certificate),
                    "client-key-data": _embedded(client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
