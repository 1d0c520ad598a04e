"""What makes security contexts valid, in Kubernetes' words."""

from __future__ import annotations

import re

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import placed, supported, within
from tidegate.apiserver.values import mapping, objects, section, strings
from tidegate.kube.objects import Object

_MAX_ID = 2**31 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL = re.compile(
    r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*", re.ASCII
)
_MAX_SYSCTL = 253


def validate_pod_security(spec: Object, path: str, errors: FieldErrors) -> None:
    """What a pod spec says of users, groups, profiles and the node's namespaces."""
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        errors.invalid(
            f"{path}.shareProcessNamespace",
            True,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        )
    context, path = section(spec, "securityContext"), f"{path}.securityContext"
    _validate_ids(context, ("runAsUser", "runAsGroup", "fsGroup"), path, errors)
    groups = context.get("supplementalGroups")
    for index, group in enumerate(groups if isinstance(groups, list) else []):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if not 0 <= group <= _MAX_ID:
            detail = f"must be between 0 and {_MAX_ID}, inclusive"
            errors.invalid(f"{path}.supplementalGroups[{index}]", group, detail)
    supported(context, "fsGroupChangePolicy", ("Always", "OnRootMismatch"), path, errors)
    supported(context, "supplementalGroupsPolicy", ("Merge", "Strict"), path, errors)
    _validate_profiles(context, path, errors)
    _validate_sysctls(objects(context.get("sysctls")), f"{path}.sysctls", errors)


def validate_container_security(context: Object, path: str, errors: FieldErrors) -> None:
    """The security context of a container."""
    _validate_ids(context, ("runAsUser", "runAsGroup"), path, errors)
    supported(context, "procMount", ("Default", "Unmasked"), path, errors)
    _validate_profiles(context, path, errors)
    if context.get("allowPrivilegeEscalation") is not False:
        return
    if context.get("privileged"):
        errors.invalid(
            path,
            context,
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        )
    if "CAP_SYS_ADMIN" in strings(section(context, "capabilities").get("add")):
        errors.invalid(
            path,
            context,
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
        )


def _validate_ids(context: Object, fields: tuple[str, ...], path: str, errors: FieldErrors) -> None:
    for field in fields:
        within(context, field, path, errors, low=0, high=_MAX_ID)


def _validate_profiles(context: Object, path: str, errors: FieldErrors) -> None:
    for field, word in (("seccompProfile", "seccomp type"), ("appArmorProfile", "AppArmor type")):
        if field not in context:
            continue
        profile, where = mapping(context[field]), f"{path}.{field}"
        kind, local = profile.get("type"), profile.get("localhostProfile")
        if not kind:
            errors.required(f"{where}.type", "type is required when the profile is set")
        supported(profile, "type", _PROFILES, where, errors)
        if kind == "Localhost" and not local:
            errors.required(f"{where}.localhostProfile", f"must be set when {word} is Localhost")
        elif kind != "Localhost" and local:
            detail = f"can only be set when {word} is Localhost"
            errors.invalid(f"{where}.localhostProfile", local, detail)


def _validate_sysctls(sysctls: list[Object], path: str, errors: FieldErrors) -> None:
    taken: set[str] = set()
    for at, sysctl in placed(sysctls, path):
        name, where = str(sysctl.get("name") or ""), f"{at}.name"
        if not name:
            errors.required(where)
        elif len(name) > _MAX_SYSCTL or not _SYSCTL.fullmatch(name):
            errors.invalid(
                where,
                name,
                f"must have at most {_MAX_SYSCTL} characters and match regex {_SYSCTL.pattern}",
            )
        elif name in taken:
            errors.duplicate(where, name)
        taken.add(name)
