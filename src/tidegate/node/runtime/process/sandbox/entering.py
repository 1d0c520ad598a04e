"""Becoming a container, in the order in which rights are lost.

A request (`Isolation.request` in `tidegate.node.runtime.isolation`) is a JSON object. What the
machine does not allow is left out by whoever asks, who has `abilities` to go by; what fails
nevertheless raises OSError, and the container does not start.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import Any

from . import syscalls
from .tree import Ids, Tree

# What a process may do about its own view: everything; its own mounts and one user; nothing.
FULL = "full"
PARTIAL = "partial"
NONE = ""

_NAMESPACES = (("user", syscalls.NEW_USERS), ("mnt", 0), ("uts", 0))


def abilities(scratch: str) -> tuple[str, str]:
    """What this machine lets us do, FULL, PARTIAL or NONE, and why it is not more.

    Tried in a process of its own. Needs an empty directory.
    """
    reason = ""
    for ability in (FULL, PARTIAL):
        if (ability == FULL) != (os.geteuid() == 0):
            continue
        problem = _in_child(ability, scratch)
        if not problem:
            return ability, "" if ability == FULL else "Tidegate does not run as root"
        reason = problem
    return NONE, reason


def enter(request: dict[str, Any]) -> None:
    """Take on the view, the user and the rights of a container. Raises OSError."""
    ability: str = request["ability"]
    user: int | None = request.get("user")
    group: int | None = request.get("group")
    groups: list[int] = request.get("groups") or []
    if ability:
        _take_namespaces(ability, user, group)
        _shape_view(request, ability, user, group, groups)
    _take_identity(request, ability, user, group, groups)


def join(pid: int, request: dict[str, Any]) -> None:
    """Enter the namespaces of a container's process and take on its identity. Raises OSError."""
    handles: list[int] = []
    for name, _ in _NAMESPACES:
        path = f"/proc/{pid}/ns/{name}"
        if not os.path.samestat(os.stat(path), os.stat(f"/proc/self/ns/{name}")):
            handles.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    for handle in handles:
        syscalls.join_namespace(handle)
        os.close(handle)
    _take_identity(
        request,
        request["ability"],
        request.get("user"),
        request.get("group"),
        request.get("groups") or [],
    )


def _in_child(ability: str, scratch: str) -> str:
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            _take_namespaces(ability, None, None)
            syscalls.attach(syscalls.clone_mount(scratch), scratch)
            syscalls.mount("tmpfs", scratch, "size=4096")
            syscalls.set_read_only(scratch)
        except BaseException as error:
            os.write(write, str(error).encode()[:500] or b"failed")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        problem = pipe.read().decode(errors="replace")
    os.waitpid(pid, 0)
    return problem


def _take_namespaces(ability: str, user: int | None, group: int | None) -> None:
    kinds = syscalls.NEW_MOUNTS | syscalls.NEW_HOSTNAME
    if ability == FULL:
        syscalls.unshare(kinds)
    else:
        outside_user, outside_group = os.geteuid(), os.getegid()
        syscalls.unshare(kinds | syscalls.NEW_USERS)
        inside_user = outside_user if user is None else user
        inside_group = outside_group if group is None else group
        _write("/proc/self/uid_map", f"{inside_user} {outside_user} 1")
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/gid_map", f"{inside_group} {outside_group} 1")
    syscalls.make_private()


def _shape_view(
    request: dict[str, Any],
    ability: str,
    user: int | None,
    group: int | None,
    groups: list[int],
) -> None:
    full = ability == FULL
    hostname: str = request.get("hostname") or ""
    if hostname:
        socket.sethostname(hostname)
    ids = None
    if full and user:
        ids = Ids(user, [group or 0, *groups])
    tree = Tree(request["scratch"], in_user_namespace=not full)
    mounts: list[dict[str, Any]] = request.get("mounts") or []
    tree.build(mounts, request.get("keep") or [], ids)
    if full:
        _protect_kernel_settings()
    if request.get("readOnlyRoot"):
        _seal_root([str(item["target"]) for item in mounts if not item["readOnly"]])


def _protect_kernel_settings() -> None:
    settings = "/proc/sys"
    clone = syscalls.clone_mount(settings)
    syscalls.attach(clone, settings)
    os.close(clone)
    syscalls.set_read_only(settings)
    syscalls.set_read_only("/sys", below=True)


def _seal_root(writable: list[str]) -> None:
    syscalls.set_read_only("/", below=True)
    # Devices and processes are no files of the container's; kernel settings stay sealed.
    for path in ("/dev", "/dev/shm", "/dev/pts", "/dev/mqueue", "/proc"):  # noqa: S108
        with contextlib.suppress(OSError):
            syscalls.set_read_only(path, value=False)
    for path in writable:
        syscalls.set_read_only(path, value=False)


def _take_identity(
    request: dict[str, Any],
    ability: str,
    user: int | None,
    group: int | None,
    groups: list[int],
) -> None:
    kept: int | None = request.get("capabilities")
    if kept is not None and syscalls.capabilities():
        syscalls.bound_capabilities(kept)
    if os.geteuid() == 0 and ability != PARTIAL:
        _become(user, group, groups)
    elif ability == PARTIAL and os.geteuid() != 0:
        # Making the namespace gave us all rights within it, which only executing would take.
        syscalls.set_capabilities(0)
    if request.get("noNewPrivileges"):
        syscalls.forbid_new_privileges()


def _become(user: int | None, group: int | None, groups: list[int]) -> None:
    if user is None and group is None and not groups:
        return
    for stream in (0, 1, 2):
        # A program may open /dev/stdout anew, which asks the permissions of the pipe.
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(stream).st_mode) or os.isatty(stream):
                os.fchown(stream, user or 0, -1)
    os.setgroups(groups)
    if group is not None:
        os.setresgid(group, group, group)
    if user is not None:
        os.setresuid(user, user, user)
    syscalls.make_dumpable()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
