"""A pod's volumes, as directories of the pod; `mounting` puts them at their paths.

The pod's directory is closed to all but the platform's user, so what lies in it can have the
permissions that the pod asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.kube.errors import ApiError
from tidegate.kube.objects import Object, name_of, namespace_of, uid_of
from tidegate.node.fields import part, parts
from tidegate.node.lifecycle.directory import PodDirectory
from tidegate.node.lifecycle.environment import field_value, resource_value
from tidegate.node.lifecycle.host import Host
from tidegate.node.lifecycle.payload import File, give, write_payload
from tidegate.node.lifecycle.security import users_of
from tidegate.node.lifecycle.sources import ConfigError, MountError, Sources

TOKEN_SECONDS = 3600
_TOKEN_RENEWED_AFTER = 0.8
_DEFAULT_MODE = 0o644
ROOT_CA_CONFIG_MAP = "kube-root-ca.crt"
_REFRESHED = ("configMap", "secret", "projected", "downwardAPI")


@dataclass(frozen=True)
class Volumes:
    """Makes the volumes of one pod."""

    host: Host
    directory: PodDirectory
    _tokens: dict[tuple[str, int], tuple[str, float]] = field(
        default_factory=dict[tuple[str, int], tuple[str, float]], init=False
    )

    async def make(self, pod: Object) -> None:
        """Bring every volume to its contents; those that have them are left alone.

        Raises:
            MountError: what a volume is made of is not there.
        """
        sources = Sources(self.host.client, namespace_of(pod))
        await asyncio.to_thread(self._close_to_others)
        for volume in pod["spec"].get("volumes") or ():
            try:
                await self._make(pod, volume, sources)
            except (ConfigError, ApiError) as error:
                raise MountError(
                    f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                ) from error

    def _close_to_others(self) -> None:
        for path in (self.directory.path, self.directory.volumes):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def _make(self, pod: Object, volume: Object, sources: Sources) -> None:
        path = self.directory.volume(volume["name"])
        if "emptyDir" in volume:
            await asyncio.to_thread(_make_empty, path, fs_group(pod))
        elif "hostPath" in volume:
            await asyncio.to_thread(_link_host_path, path, Path(volume["hostPath"]["path"]))
        else:
            await self._write(pod, path, await self._files(pod, volume, sources))

    async def _write(self, pod: Object, path: Path, files: Mapping[str, File]) -> None:
        await asyncio.to_thread(write_payload, path, files, group=fs_group(pod))

    async def _files(self, pod: Object, volume: Object, sources: Sources) -> Mapping[str, File]:
        if "projected" in volume:
            mode = _mode(volume["projected"], _DEFAULT_MODE)
            files: dict[str, File] = {}
            for source in volume["projected"].get("sources") or ():
                files.update(await self._projection(pod, source, sources, mode))
            return files
        for kind in ("configMap", "secret", "downwardAPI"):
            if kind in volume:
                mode = _mode(volume[kind], _DEFAULT_MODE)
                return await self._projection(pod, volume, sources, mode)
        kinds = ", ".join(key for key in volume if key != "name")
        raise ConfigError(
            f"volume {volume['name']}: {kinds or 'without a source'} is not supported on this node"
        )

    async def _projection(
        self, pod: Object, source: Object, sources: Sources, mode: int
    ) -> Mapping[str, File]:
        if "configMap" in source:
            wanted = source["configMap"]
            contents = await self._config_map(wanted, sources)
            return _items(wanted, contents, mode, "configmap references non-existent config key")
        if "secret" in source:
            wanted = source["secret"]
            name = wanted.get("secretName") or wanted["name"]
            optional = bool(wanted.get("optional"))
            contents = await sources.secret(name, optional=optional)
            return _items(wanted, contents, mode, "references non-existent secret key")
        if "downwardAPI" in source:
            return {
                _safe(item["path"]): File(self._downward(pod, item), _mode(item, mode, "mode"))
                for item in source["downwardAPI"].get("items") or ()
            }
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            seconds = int(wanted.get("expirationSeconds") or TOKEN_SECONDS)
            token = await self._token_file(pod, seconds, str(wanted.get("audience") or ""), mode)
            return {_safe(wanted["path"]): token}
        raise ConfigError(f"projected volume: {', '.join(source)} is not supported on this node")

    async def _config_map(self, wanted: Object, sources: Sources) -> Mapping[str, bytes]:
        name = str(wanted["name"])
        if name != ROOT_CA_CONFIG_MAP:
            return await sources.config_map(name, optional=bool(wanted.get("optional")))
        # In a namespace that has just been made it may be on its way; the node knows what is in it.
        contents = await sources.config_map(name, optional=True)
        return contents or {"ca.crt": await self._authority()}

    def _downward(self, pod: Object, item: Object) -> bytes:
        if "fieldRef" in item:
            path = str(item["fieldRef"]["fieldPath"])
            return field_value(pod, path, self.host.node_name).encode()
        reference = item["resourceFieldRef"]
        name = str(reference.get("containerName") or "")
        for container in pod["spec"]["containers"]:
            if container["name"] == name:
                return resource_value(container, reference).encode()
        raise ConfigError(f"downwardAPI: there is no container {name!r}")

    async def _token_file(
        self, pod: Object, seconds: int, audience: str, mode: int = _DEFAULT_MODE
    ) -> File:
        # As kubelet: with one user for all containers the token is his alone.
        user = common_user(pod)
        if user is not None or fs_group(pod) is not None:
            mode = 0o600
        return File((await self._token(pod, seconds, audience)).encode(), mode, user)

    async def _token(self, pod: Object, seconds: int, audience: str) -> str:
        now = self.host.clock.monotonic()
        known = self._tokens.get((audience, seconds))
        if known is not None and now < known[1]:
            return known[0]
        try:
            token = await self.host.tokens.token(
                namespace=namespace_of(pod),
                service_account=str(pod["spec"].get("serviceAccountName") or "default"),
                pod_name=name_of(pod),
                pod_uid=uid_of(pod),
                expiration_seconds=seconds,
                audiences=(audience,) if audience else (),
            )
        except ApiError as error:
            raise ConfigError(f"failed to fetch token: {error}") from error
        self._tokens[audience, seconds] = (token, now + seconds * _TOKEN_RENEWED_AFTER)
        return token

    async def _authority(self) -> bytes:
        try:
            return await asyncio.to_thread(self.host.ca_file.read_bytes)
        except OSError:
            return b""


def is_refreshed(pod: Object) -> bool:
    """Whether what the pod's volumes hold can change while it runs."""
    volumes = parts(pod["spec"], "volumes")
    return any(kind in volume for volume in volumes for kind in _REFRESHED)


def fs_group(pod: Object) -> int | None:
    """The group that owns the pod's volumes, if it asks for one."""
    return part(pod["spec"], "securityContext").get("fsGroup")


def common_user(pod: Object) -> int | None:
    """The user that all containers run as, if the pod names one and the same for all."""
    users = users_of(pod)
    return users.pop() if len(users) == 1 else None


def _items(
    wanted: Object, contents: Mapping[str, bytes], mode: int, problem: str
) -> Mapping[str, File]:
    items = wanted.get("items")
    if not items:
        return {key: File(content, mode) for key, content in contents.items()}
    chosen: dict[str, File] = {}
    for item in items:
        if item["key"] in contents:
            own_mode = _mode(item, mode, "mode")
            chosen[_safe(item["path"])] = File(contents[item["key"]], own_mode)
        elif not wanted.get("optional"):
            raise ConfigError(f"{problem}: {item['key']}")
    return chosen


def _mode(source: Object, default: int, key: str = "defaultMode") -> int:
    mode = source.get(key)
    return default if mode is None else int(mode)


def _safe(path: str) -> str:
    if path.startswith(("/", "..")) or ".." in Path(path).parts:
        raise ConfigError(f"the path {path!r} leaves its volume")
    return path


def _make_empty(path: Path, group: int | None) -> None:
    if path.is_dir():
        return  # its programs may have given it other permissions
    fresh = path.with_name(f".{path.name}.new")
    fresh.mkdir(mode=0o700, exist_ok=True)
    give(fresh, user=None, group=group)
    # Any user of the pod's containers may use it.
    fresh.chmod(0o777 if group is None else 0o2777)
    fresh.rename(path)


def _link_host_path(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(target)
