"""What makes a pod and a pod template valid, in Kubernetes' words."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import (
    form,
    ip_problem,
    not_negative,
    placed,
    supported,
    validate_text,
    within,
)
from tidegate.apiserver.registry.kinds.containervalidation import validate_containers
from tidegate.apiserver.registry.kinds.podpriority import PRIORITY_FIELDS
from tidegate.apiserver.registry.kinds.podsecurity import validate_pod_security
from tidegate.apiserver.registry.kinds.scheduling import validate_scheduling
from tidegate.apiserver.registry.kinds.volumevalidation import validate_volumes
from tidegate.apiserver.registry.names import (
    label_problem,
    qualified_problem,
    subdomain_problem,
    validate_annotations,
    validate_labels,
)
from tidegate.apiserver.values import objects, section, strings
from tidegate.kube.objects import Object, thaw

_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MAX_SECONDS = 2**31 - 1
_MAX_NAMESERVERS = 3
_MAX_SEARCHES = 32
_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
    " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set"
    " to 1 if it was previously negative)"
)


def validate_pod(pod: Object, old: Object | None, errors: FieldErrors) -> None:
    """A pod; of an existing one only a few fields may change."""
    spec = section(pod, "spec")
    validate_pod_spec(spec, "spec", errors, alone=True)
    if old is not None:
        _validate_change(spec, section(old, "spec"), errors)
    elif spec.get("ephemeralContainers"):
        errors.forbidden("spec.ephemeralContainers", "cannot be set on create")


def validate_template(template: Object, path: str, errors: FieldErrors) -> None:
    """A pod template at `path`."""
    metadata, spec = section(template, "metadata"), section(template, "spec")
    validate_labels(metadata.get("labels"), f"{path}.metadata.labels", errors)
    validate_annotations(metadata.get("annotations"), f"{path}.metadata.annotations", errors)
    validate_pod_spec(spec, f"{path}.spec", errors)
    if spec.get("ephemeralContainers"):
        errors.forbidden(
            f"{path}.spec.ephemeralContainers",
            "ephemeral containers not allowed in pod template",
        )


def validate_pod_spec(spec: Object, path: str, errors: FieldErrors, *, alone: bool = False) -> None:
    """Containers, volumes and the rest; of a pod that stands `alone`, or of a template."""
    volumes = validate_volumes(objects(spec.get("volumes")), f"{path}.volumes", errors)
    validate_containers(spec, path, volumes, errors, alone=alone)
    supported(spec, "restartPolicy", ("Always", "OnFailure", "Never"), path, errors)
    supported(spec, "preemptionPolicy", ("Never", "PreemptLowerPriority"), path, errors)
    not_negative(spec, "terminationGracePeriodSeconds", path, errors)
    within(spec, "activeDeadlineSeconds", path, errors, low=1, high=_MAX_SECONDS)
    form(spec, "serviceAccountName", subdomain_problem, path, errors)
    form(spec, "nodeName", subdomain_problem, path, errors)
    form(spec, "hostname", label_problem, path, errors)
    form(spec, "subdomain", label_problem, path, errors)
    validate_labels(spec.get("nodeSelector"), f"{path}.nodeSelector", errors)
    _validate_dns(spec, path, errors)
    _validate_aliases(objects(spec.get("hostAliases")), f"{path}.hostAliases", errors)
    for where, gate in placed(objects(spec.get("readinessGates")), f"{path}.readinessGates"):
        form(gate, "conditionType", qualified_problem, where, errors)
    _validate_os(spec, path, errors)
    validate_scheduling(spec, path, errors)
    validate_pod_security(spec, path, errors)


def _validate_dns(spec: Object, path: str, errors: FieldErrors) -> None:
    supported(spec, "dnsPolicy", _DNS_POLICIES, path, errors)
    path = f"{path}.dnsConfig"
    config = section(spec, "dnsConfig")
    servers, searches = strings(config.get("nameservers")), strings(config.get("searches"))
    if spec.get("dnsPolicy") == "None":
        if "dnsConfig" not in spec:
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not servers:
            errors.required(
                f"{path}.nameservers",
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            )
    if len(servers) > _MAX_NAMESERVERS:
        detail = f"must not have more than {_MAX_NAMESERVERS} nameservers"
        errors.invalid(f"{path}.nameservers", servers, detail)
    for where, server in placed(servers, f"{path}.nameservers"):
        validate_text(server, ip_problem, where, errors)
    if len(searches) > _MAX_SEARCHES:
        detail = f"must not have more than {_MAX_SEARCHES} search paths"
        errors.invalid(f"{path}.searches", searches, detail)
    for where, search in placed(searches, f"{path}.searches"):
        validate_text(search, _search_problem, where, errors)
    for where, option in placed(objects(config.get("options")), f"{path}.options"):
        if not option.get("name"):
            errors.required(where, "must not be empty")


def _search_problem(search: str) -> str | None:
    return subdomain_problem(search.removesuffix(".")) if search != "." else None


def _validate_aliases(aliases: list[Object], path: str, errors: FieldErrors) -> None:
    for where, alias in placed(aliases, path):
        validate_text(alias.get("ip") or "", ip_problem, f"{where}.ip", errors)
        for name in strings(alias.get("hostnames")):
            validate_text(name, subdomain_problem, f"{where}.hostnames", errors)


def _validate_os(spec: Object, path: str, errors: FieldErrors) -> None:
    if "os" not in spec:
        return
    system = section(spec, "os")
    if not system.get("name"):
        errors.required(f"{path}.os.name", "cannot be empty")
    else:
        supported(system, "name", ("linux", "windows"), f"{path}.os", errors)


def _validate_change(spec: Object, old: Object, errors: FieldErrors) -> None:
    for field in ("containers", "initContainers"):
        if len(objects(spec.get(field))) != len(objects(old.get(field))):
            errors.forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
    _validate_deadline(spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"), errors)
    if not _keeps_tolerations(spec, old):
        errors.forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        )
    if _fixed_part(spec, old) != _fixed_part(old, old):
        errors.forbidden("spec", _MUTABLE)


def _validate_deadline(new: int | None, old: int | None, errors: FieldErrors) -> None:
    path = "spec.activeDeadlineSeconds"
    if old is not None and new is None:
        errors.invalid(path, new, "must not update from a positive integer to nil value")
    elif old is not None and new is not None and new > old:
        errors.invalid(path, new, "must be less than or equal to previous value")


def _keeps_tolerations(spec: Object, old: Object) -> bool:
    """Whether all tolerations are still there, with whatever seconds."""

    def without_seconds(toleration: Object) -> Object:
        return {name: toleration[name] for name in toleration if name != "tolerationSeconds"}

    kept = [without_seconds(one) for one in objects(spec.get("tolerations"))]
    return all(without_seconds(one) in kept for one in objects(old.get("tolerations")))


def _fixed_part(spec: Object, old: Object) -> Object:
    """The part of a pod spec that must stay; a pod without a node may still be given one."""
    fixed: Object = thaw(spec)
    for name in ("containers", "initContainers"):
        for container in objects(fixed.get(name)):
            container.pop("image", None)
    for name in ("activeDeadlineSeconds", "tolerations"):
        fixed.pop(name, None)
    for name in PRIORITY_FIELDS:
        # What a change leaves out stays as it is.
        fixed.setdefault(name, old.get(name))
    if not old.get("nodeName"):
        fixed.pop("nodeName", None)
        fixed.pop("schedulingGates", None)
    return fixed
