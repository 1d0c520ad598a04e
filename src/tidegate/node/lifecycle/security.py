"""Who a container's programs are and what they may, from the security contexts of pod and
container: pure, the container's word being the last."""

from __future__ import annotations

from typing import Any

from tidegate.kube.objects import Object
from tidegate.node.fields import part, parts
from tidegate.node.lifecycle.sources import ConfigError
from tidegate.node.runtime.isolation import Identity

# In the order of their numbers in the kernel's capability.h.
_CAPABILITIES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
""".split()  # noqa: SIM905

# What container engines leave to a container that asks for nothing.
_USUAL = frozenset(
    """
    CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW
    SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP
    """.split()  # noqa: SIM905
)


def identity_of(pod: Object, container: Object, *, own_user: int) -> Identity:
    """The identity of a container.

    Args:
        pod, container: with their `securityContext`.
        own_user: who runs what asks for no user.
    Raises:
        ConfigError: runAsNonRoot and root is what it would run as.
    """
    of_pod = _pod_context(pod)
    of_container = part(container, "securityContext")

    def value(name: str) -> Any:
        own = of_container.get(name)
        return of_pod.get(name) if own is None else own

    user = value("runAsUser")
    if value("runAsNonRoot") and not (own_user if user is None else user):
        ran = "runAsUser breaks" if user is not None else "image will run as root, which breaks"
        raise ConfigError(f"container's {ran} its runAsNonRoot policy: {container['name']}")
    group = value("runAsGroup")
    groups = [*(of_pod.get("supplementalGroups") or ())]
    if of_pod.get("fsGroup") is not None:
        groups.append(of_pod["fsGroup"])
    return Identity(
        user=user,
        # As in a container whose image knows no such user: his group is root's.
        group=0 if group is None and user is not None else group,
        groups=tuple(dict.fromkeys(int(number) for number in groups)),
        no_new_privileges=of_container.get("allowPrivilegeEscalation") is False,
        capabilities=_kept(of_container),
        read_only_root=bool(of_container.get("readOnlyRootFilesystem")),
    )


def users_of(pod: Object) -> set[int | None]:
    """The users that the containers ask to run as; None for the platform's own."""
    of_pod = _pod_context(pod).get("runAsUser")
    containers = (*parts(pod["spec"], "initContainers"), *parts(pod["spec"], "containers"))
    return {part(item, "securityContext").get("runAsUser", of_pod) for item in containers}


def unenforced(pod: Object, container: Object) -> list[str]:
    """The fields that are accepted and that no process runtime can keep to."""
    found = [
        f"{field}: {why}"
        for field, why, asked in (
            ("limits.ephemeral-storage", "disk use is not measured", _limits_disk(container)),
            ("emptyDir.sizeLimit", "disk use is not measured", _empty(pod, "sizeLimit")),
            ("emptyDir.medium", "it is on disk", _empty(pod, "medium")),
            ("sysctls", "they are the machine's", bool(_pod_context(pod).get("sysctls"))),
            (
                "dnsConfig",
                "names are resolved as on the machine",
                bool(pod["spec"].get("dnsConfig")),
            ),
            (
                "shareProcessNamespace",
                "all processes of the machine are visible",
                pod["spec"].get("shareProcessNamespace") is True,
            ),
        )
        if asked
    ]
    for context in (part(container, "securityContext"), _pod_context(pod)):
        profile = part(context, "seccompProfile").get("type")
        if profile == "Localhost":
            found.append("seccompProfile: the process runtime loads no profiles")
        if context.get("seLinuxOptions"):
            found.append("seLinuxOptions: processes keep the label of the platform")
        if context.get("procMount") == "Unmasked":
            found.append("procMount: /proc is the machine's")
        if part(context, "appArmorProfile").get("type") == "Localhost":
            found.append("appArmorProfile: the process runtime loads no profiles")
    return found


def _pod_context(pod: Object) -> Object:
    return part(pod["spec"], "securityContext")


def _limits_disk(container: Object) -> bool:
    return "ephemeral-storage" in part(part(container, "resources"), "limits")


def _empty(pod: Object, key: str) -> bool:
    return any(part(volume, "emptyDir").get(key) for volume in parts(pod["spec"], "volumes"))


def _kept(context: Object) -> int | None:
    """The bit mask of the capabilities left; None where none is spoken of."""
    asked = part(context, "capabilities")
    if context.get("privileged") or not asked:
        return None
    added, dropped = _names(asked, "add"), _names(asked, "drop")
    kept = frozenset[str]() if "ALL" in dropped else _USUAL - dropped
    if "ALL" in added:
        kept = frozenset(_CAPABILITIES)
    kept |= added
    return sum(1 << number for number, name in enumerate(_CAPABILITIES) if name in kept)


def _names(asked: Object, key: str) -> frozenset[str]:
    names: list[str] = asked.get(key) or []
    return frozenset(name.upper().removeprefix("CAP_") for name in names)
