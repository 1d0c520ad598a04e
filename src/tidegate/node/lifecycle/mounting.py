"""What of its pod's files a container sees, and where.

Where the runtime cannot mount, the same files are found as links below the container's root
directory (`$TIDEGATE_ROOT<mount path>`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tidegate.kube.objects import Object, name_of
from tidegate.node.fields import parts
from tidegate.node.lifecycle.directory import PodDirectory
from tidegate.node.lifecycle.environment import expand
from tidegate.node.lifecycle.security import users_of
from tidegate.node.lifecycle.sources import ConfigError
from tidegate.node.lifecycle.status import POD_IP
from tidegate.node.runtime.isolation import Mount

SERVICE_ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_HOSTS = "/etc/hosts"
_LOGS = "/var/log"
_TERMINATION_LOG = "/dev/termination-log"
_HOSTNAME_LIMIT = 63
_READ_ONLY_KINDS = ("configMap", "secret", "projected", "downwardAPI")


def volume_mounts(
    pod: Object, container: Object, directory: PodDirectory, values: Mapping[str, str]
) -> list[Mount]:
    """The mounts of a container's volumes; blocks, so call it in a thread.

    Args:
        values: the container's environment, for `subPathExpr`.
    Raises:
        ConfigError: a path leads out of its volume or to nothing.
    """
    kinds = {volume["name"]: volume for volume in parts(pod["spec"], "volumes")}
    mounts: list[Mount] = []
    for item in parts(container, "volumeMounts"):
        target = _mount_path(str(item["mountPath"]))
        volume = kinds.get(item["name"], {})
        fixed = any(kind in volume for kind in _READ_ONLY_KINDS)
        source = directory.volume(item["name"])
        sub_path = _sub_path(item, values)
        if sub_path:
            _check_sub_path(source, sub_path, make="emptyDir" in volume or "hostPath" in volume)
        read_only = fixed or bool(item.get("readOnly"))
        mounts.append(Mount(source.resolve(), target, read_only, sub_path))
    return mounts


def usual_mounts(container: Object, directory: PodDirectory, attempt: Path) -> Iterator[Mount]:
    """What every container finds unless it mounts something else there."""
    yield Mount(directory.hosts, _HOSTS, read_only=False)
    yield Mount(directory.logs, _LOGS, read_only=False)
    path = str(container.get("terminationMessagePath") or _TERMINATION_LOG)
    yield Mount(termination_log(attempt), _mount_path(path), read_only=False)


def termination_log(attempt: Path) -> Path:
    """The file in which a start's program may say why it ended."""
    return attempt / "termination-log"


def make_usual_files(pod: Object, directory: PodDirectory, attempt: Path) -> None:
    """Write the files that `usual_mounts` names, readable for every user of the pod."""
    directory.hosts.write_text(_hosts(pod), encoding="utf-8")
    directory.hosts.chmod(0o644)
    directory.logs.mkdir(exist_ok=True)
    directory.logs.chmod(0o777)
    log = termination_log(attempt)
    log.touch()
    log.chmod(0o666)


def hostname_of(pod: Object) -> str:
    """The pod's host name: what it asks for, else its own name."""
    name = str(pod["spec"].get("hostname") or name_of(pod))
    return name[:_HOSTNAME_LIMIT].rstrip("-.")


def link(root: Path, mounts: list[Mount]) -> None:
    """Make links at the mount paths below `root`; blocks."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for mount in mounts:
        place = root / mount.target.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        place.symlink_to(mount.source / mount.sub_path if mount.sub_path else mount.source)


def _mount_path(path: str) -> str:
    normal = os.path.normpath(f"/{path.strip('/')}")
    if ".." in Path(path).parts or normal == "/":
        raise ConfigError(f"volumeMounts: {path!r} is no usable mount path")
    return normal


def _sub_path(item: Object, values: Mapping[str, str]) -> str:
    path = str(item.get("subPath") or expand(str(item.get("subPathExpr") or ""), values))
    if path.startswith("/") or ".." in Path(path).parts:
        raise ConfigError(f"volumeMounts: subPath {path!r} leaves the volume")
    return path


def _check_sub_path(volume: Path, sub_path: str, *, make: bool) -> None:
    root = volume.resolve()
    place = (root / sub_path).resolve()
    if not place.is_relative_to(root):
        raise ConfigError(f"volumeMounts: subPath {sub_path!r} leaves the volume")
    if not place.exists():
        if not make:
            raise ConfigError(f"volumeMounts: subPath {sub_path!r} is not in volume {volume.name}")
        place.mkdir(parents=True)
        place.chmod(root.stat().st_mode & 0o7777)


def _hosts(pod: Object) -> str:
    try:
        machine = Path(_HOSTS).read_text(encoding="utf-8", errors="replace").rstrip("\n")
    except OSError:
        machine = "127.0.0.1\tlocalhost"
    name, subdomain = hostname_of(pod), str(pod["spec"].get("subdomain") or "")
    names = [f"{name}.{subdomain}", name] if subdomain else [name]
    aliases = [
        "\t".join([str(alias["ip"]), *(alias.get("hostnames") or ())])
        for alias in parts(pod["spec"], "hostAliases")
    ]
    own = "\t".join([POD_IP, *names])
    return "\n".join([machine, "", "# The pod's own.", own, *aliases, ""])


def pod_users_differ(pod: Object, own_user: int) -> bool:
    """Whether a container runs as another user than the platform."""
    return bool(users_of(pod) - {None, own_user})
