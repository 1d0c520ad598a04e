"""A pod's volumes, as directories of the pod.

Processes share the machine's file system, so a volume is not at its mount path itself but at
`$TIDEGATE_ROOT<mount path>`, a link; the service account's is also named by SERVICE_ACCOUNT_DIR.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate.kube.errors import ApiError
from tidegate.kube.objects import Object, name_of, namespace_of, uid_of
from tidegate.node.lifecycle.directory import PodDirectory, write_private
from tidegate.node.lifecycle.environment import field_value
from tidegate.node.lifecycle.host import Host
from tidegate.node.lifecycle.sources import ConfigError, Sources

SERVICE_ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Volumes:
    """Makes the volumes of one pod."""

    host: Host
    directory: PodDirectory

    async def make(self, pod: Object) -> None:
        """Bring every volume to its contents. Raises ConfigError."""
        sources = Sources(self.host.client, namespace_of(pod))
        for volume in pod["spec"].get("volumes") or ():
            await self._make(pod, volume, sources)
        if mounts_token(pod):
            await self.write_service_account(pod)

    async def write_service_account(self, pod: Object) -> None:
        """Write a fresh token, with the CA and the namespace. Raises ConfigError."""
        token = await self._token(pod, TOKEN_SECONDS, "")
        files = {
            "token": token.encode(),
            "ca.crt": await self._authority(),
            "namespace": namespace_of(pod).encode(),
        }
        await asyncio.to_thread(_write_files, self.directory.service_account, files)

    def service_account_dir(self, pod: Object, container: Object) -> Path | None:
        """Where the container finds its token: a volume mounted at the usual path, or our own."""
        for mount in container.get("volumeMounts") or ():
            if str(mount.get("mountPath")).rstrip("/") == SERVICE_ACCOUNT_PATH:
                return self.directory.volume(mount["name"])
        return self.directory.service_account if mounts_token(pod) else None

    def link(self, container: Object) -> Path:
        """Make the tree of links at the mount paths; its root."""
        root = self.directory.root(container["name"])
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for mount in container.get("volumeMounts") or ():
            relative = str(mount["mountPath"]).strip("/")
            place = root / relative
            if ".." in place.parts or not relative:
                raise ConfigError(f"volumeMounts: {mount['mountPath']!r} is no usable mount path")
            target = self.directory.volume(mount["name"])
            sub_path = str(mount.get("subPath") or "")
            if ".." in Path(sub_path).parts:
                raise ConfigError(f"volumeMounts: subPath {sub_path!r} leaves the volume")
            place.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                place.unlink()
            place.symlink_to(target / sub_path if sub_path else target)
        return root

    async def _make(self, pod: Object, volume: Object, sources: Sources) -> None:
        path = self.directory.volume(volume["name"])
        if "emptyDir" in volume:
            await asyncio.to_thread(path.mkdir, 0o700, True, True)
        elif "hostPath" in volume:
            await asyncio.to_thread(_link_host_path, path, Path(volume["hostPath"]["path"]))
        else:
            files = await self._files(pod, volume, sources)
            await asyncio.to_thread(_write_files, path, files)

    async def _files(self, pod: Object, volume: Object, sources: Sources) -> Mapping[str, bytes]:
        if "projected" in volume:
            files: dict[str, bytes] = {}
            for source in volume["projected"].get("sources") or ():
                files.update(await self._projection(pod, source, sources))
            return files
        if "configMap" in volume or "secret" in volume or "downwardAPI" in volume:
            return await self._projection(pod, volume, sources)
        kinds = ", ".join(key for key in volume if key != "name")
        raise ConfigError(
            f"volume {volume['name']}: {kinds or 'without a source'} is not supported on this node"
        )

    async def _projection(
        self, pod: Object, source: Object, sources: Sources
    ) -> Mapping[str, bytes]:
        if "configMap" in source:
            part = source["configMap"]
            optional = bool(part.get("optional"))
            return _items(part, await sources.config_map(part["name"], optional=optional))
        if "secret" in source:
            part = source["secret"]
            name = part.get("secretName") or part["name"]
            optional = bool(part.get("optional"))
            return _items(part, await sources.secret(name, optional=optional))
        if "downwardAPI" in source:
            return {
                _safe(item["path"]): field_value(
                    pod, item["fieldRef"]["fieldPath"], self.host.node_name
                ).encode()
                for item in source["downwardAPI"].get("items") or ()
                if "fieldRef" in item
            }
        if "serviceAccountToken" in source:
            part = source["serviceAccountToken"]
            seconds = int(part.get("expirationSeconds") or TOKEN_SECONDS)
            token = await self._token(pod, seconds, str(part.get("audience") or ""))
            return {_safe(part["path"]): token.encode()}
        raise ConfigError(f"projected volume: {', '.join(source)} is not supported on this node")

    async def _token(self, pod: Object, seconds: int, audience: str) -> str:
        try:
            return await self.host.tokens.token(
                namespace=namespace_of(pod),
                service_account=str(pod["spec"].get("serviceAccountName") or "default"),
                pod_name=name_of(pod),
                pod_uid=uid_of(pod),
                expiration_seconds=seconds,
                audiences=(audience,) if audience else (),
            )
        except ApiError as error:
            raise ConfigError(f"failed to fetch token: {error}") from error

    async def _authority(self) -> bytes:
        try:
            return await asyncio.to_thread(self.host.ca_file.read_bytes)
        except OSError:
            return b""


def mounts_token(pod: Object) -> bool:
    """Whether the pod gets its service account's token without asking for it."""
    return pod["spec"].get("automountServiceAccountToken") is not False


def _items(part: Object, contents: Mapping[str, bytes]) -> Mapping[str, bytes]:
    items = part.get("items")
    if not items:
        return contents
    chosen: dict[str, bytes] = {}
    for item in items:
        if item["key"] in contents:
            chosen[_safe(item["path"])] = contents[item["key"]]
        elif not part.get("optional"):
            raise ConfigError(f"references non-existent key: {item['key']}")
    return chosen


def _safe(path: str) -> str:
    if path.startswith("/") or ".." in Path(path).parts:
        raise ConfigError(f"the path {path!r} leaves its volume")
    return path


def _write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, content)


def _link_host_path(link: Path, target: Path) -> None:
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
