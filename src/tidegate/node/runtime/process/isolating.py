"""From what a container is to be to what the sandbox is asked, and what this machine leaves out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tidegate.node.runtime.contract import Launch
from tidegate.node.runtime.isolation import Isolation
from tidegate.node.runtime.process import sandbox


def isolation_request(isolation: Isolation, ability: str, directory: Path) -> dict[str, Any]:
    """What `sandbox.enter` takes.

    Args:
        isolation: what is wanted.
        ability: what the template can do.
        directory: the container's own, where `scratch` is.
    """
    identity = isolation.identity
    changes_user = identity.user not in (None, os.geteuid())
    writable = isolation.writable if identity.read_only_root else ()
    mounts = [
        *(
            {
                "source": str(mount.source),
                "sub": mount.sub_path,
                "target": mount.target,
                "readOnly": mount.read_only,
            }
            for mount in isolation.mounts
        ),
        *(
            {"source": str(path), "sub": "", "target": str(path), "readOnly": False}
            for path in writable
        ),
    ]
    return {
        "ability": ability,
        "scratch": str(directory / "scratch"),
        "hostname": isolation.hostname,
        "mounts": mounts if ability else [],
        "keep": [str(path) for path in isolation.visible] if mounts or changes_user else [],
        "user": identity.user,
        "group": identity.group,
        "groups": list(identity.groups),
        "noNewPrivileges": identity.no_new_privileges,
        "capabilities": identity.capabilities,
        "readOnlyRoot": identity.read_only_root and bool(ability),
    }


def not_enforced(launch: Launch, *, ability: str, reason: str, cpu_problem: str) -> tuple[str, ...]:
    """What the container asks for and does not get, in words for its user."""
    return tuple(_missing(launch, ability, reason, cpu_problem))


def _missing(launch: Launch, ability: str, reason: str, cpu_problem: str) -> Iterator[str]:
    isolation, identity = launch.isolation, launch.isolation.identity
    if not ability:
        if isolation.mounts:
            yield f"volumes are at $TIDEGATE_ROOT<mountPath> only: {reason}"
        if identity.read_only_root:
            yield f"the root file system is writable: {reason}"
    is_root = os.geteuid() == 0
    if not is_root:
        if identity.user not in (None, os.geteuid()) and ability != sandbox.PARTIAL:
            yield f"runAsUser {identity.user}: Tidegate does not run as root"
        if identity.groups:
            yield "supplementalGroups and fsGroup: Tidegate does not run as root"
    if cpu_problem:
        yield f"limits.cpu: {cpu_problem}"
