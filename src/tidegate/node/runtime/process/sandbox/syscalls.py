"""The system calls that Python 3.11 has no functions for. All raise OSError with what was tried."""

from __future__ import annotations

import ctypes
import os

NEW_MOUNTS = 0x00020000
NEW_HOSTNAME = 0x04000000
NEW_USERS = 0x10000000

RECURSIVE = 0x8000
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2

# The newer system calls have the same numbers on all architectures.
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def unshare(kinds: int) -> None:
    """Leave namespaces for new ones."""
    _check(_libc.unshare(kinds), "unshare")


def join_namespace(handle: int) -> None:
    """Enter the namespace behind a descriptor of /proc/<pid>/ns."""
    _check(_libc.setns(handle, 0), "setns")


def make_private() -> None:
    """Let no mount of this namespace reach another one, nor the other way."""
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount /")


def mount(kind: str, target: str, options: str) -> None:
    """Mount a new file system of that kind."""
    name = kind.encode()
    flags = ctypes.c_ulong(0)
    result = _libc.mount(name, os.fsencode(target), name, flags, os.fsencode(options))
    _check(result, f"mount {kind} at {target}")


def clone_mount(path: str) -> int:
    """A copy of what is mounted at and below `path`, not yet visible anywhere; its descriptor."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | RECURSIVE
    result = _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)
    return _check(result, f"clone {path}")


def attach(handle: int, target: str) -> None:
    """Make a cloned mount visible at `target`."""
    result = _libc.syscall(
        *(_SYS_MOVE_MOUNT, handle, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    )
    _check(result, f"attach at {target}")


def set_read_only(path: str, *, value: bool = True, below: bool = False) -> None:
    """Make a mount read-only or writable, with `below` all mounts under it too."""
    change = _MountAttributes(set=_MOUNT_ATTR_RDONLY) if value else _MountAttributes(clear=1)
    flags = RECURSIVE if below else 0
    result = _libc.syscall(
        *(_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags),
        *(ctypes.byref(change), ctypes.c_size_t(ctypes.sizeof(change))),
    )
    _check(result, f"change the mount {path}")


def change_root(directory: str) -> None:
    """Make the mount at `directory` the root; what was the root is no longer visible."""
    os.chdir(directory)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount the former root")
    os.chdir("/")


def forbid_new_privileges() -> None:
    """No program that is executed from here gets more rights than this process has."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl no_new_privs")


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parents end, as the first process of a container
    is; executing another program changes nothing about it."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl child_subreaper")


def make_dumpable() -> None:
    """Let the process see its own /proc/self after a change of user."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl dumpable")


def bound_capabilities(kept: int) -> None:
    """Lose all capabilities but those of the bit mask, for good."""
    for number in range(64):
        if not kept >> number & 1 and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            break
    own = capabilities() & kept
    set_capabilities(own)


def capabilities() -> int:
    """The permitted capabilities of this process, as a bit mask."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line[7:], 16) for line in file if line.startswith("CapPrm:"))


def set_capabilities(kept: int) -> None:
    """Set the permitted and effective capabilities; none is inherited."""
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = _CapabilityHeader(_CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)), "capset")


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
