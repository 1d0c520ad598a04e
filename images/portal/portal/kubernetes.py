"""The two calls of the Kubernetes API that the portal's ServiceAccount may make.

Plain HTTPS with the mounted token and CA certificate: listing pods and getting one Ingress do
not need a client library. The token file is read for every call, because the kubelet rotates it.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx

from portal.errors import Forbidden, KubernetesError

Object = dict[str, Any]

_TIMEOUT = httpx.Timeout(10.0)


class KubernetesClient:
    """Reads pods and ingresses with the rights of the pod's own ServiceAccount.

    The connection is made at the first call, so a portal without a mounted ServiceAccount
    still serves its pages and can say what is missing.
    """

    def __init__(self, *, host: str, port: int, service_account_dir: Path) -> None:
        self._host = f"[{host}]" if ":" in host else host
        self._port = port
        self._dir = service_account_dir
        self._client: httpx.AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def list_pods(self, namespace: str, label_selector: str) -> list[Object]:
        """The pods of a namespace that match a label selector."""
        answer = await self._get(
            f"/api/v1/namespaces/{quote(namespace, safe='')}/pods",
            {"labelSelector": label_selector},
        )
        items = answer.get("items")
        return cast(list[Object], items) if isinstance(items, list) else []

    async def get_ingress(self, namespace: str, name: str) -> Object:
        """One Ingress of networking.k8s.io/v1; KubernetesError with status 404 when absent."""
        namespace, name = quote(namespace, safe=""), quote(name, safe="")
        return await self._get(
            f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}", {}
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _get(self, path: str, params: dict[str, str]) -> Object:
        client = await self._connected()
        try:
            token = await asyncio.to_thread((self._dir / "token").read_text)
            response = await client.get(
                path, params=params, headers={"Authorization": f"Bearer {token.strip()}"}
            )
        except OSError as error:
            raise KubernetesError(f"The ServiceAccount token cannot be read: {error}") from error
        except httpx.TimeoutException as error:
            raise KubernetesError("The Kubernetes API does not answer within 10 s.") from error
        except httpx.HTTPError as error:
            raise KubernetesError(f"The Kubernetes API cannot be reached: {error}") from error
        return _object(response)

    async def _connected(self) -> httpx.AsyncClient:
        if not self._host:
            raise KubernetesError(
                "KUBERNETES_SERVICE_HOST is not set: the portal does not run in a cluster."
            )
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> httpx.AsyncClient:
        ca = self._dir / "ca.crt"
        try:
            context = await asyncio.to_thread(ssl.create_default_context, cafile=str(ca))
        except (OSError, ssl.SSLError) as error:
            raise KubernetesError(f"The cluster's CA {ca} cannot be read: {error}") from error
        return httpx.AsyncClient(
            base_url=f"https://{self._host}:{self._port}",
            verify=context,
            timeout=_TIMEOUT,
            trust_env=False,
        )


def _object(response: httpx.Response) -> Object:
    try:
        parsed: Any = response.json()
    except ValueError:
        parsed = None
    body = cast(Object, parsed) if isinstance(parsed, dict) else {}
    if response.is_success and body:
        return body
    message = str(body.get("message") or f"HTTP {response.status_code} {response.reason_phrase}")
    if response.status_code == 403:
        raise Forbidden(f"The Kubernetes API refuses: {message}", status=403)
    raise KubernetesError(f"The Kubernetes API says: {message}", status=response.status_code)
