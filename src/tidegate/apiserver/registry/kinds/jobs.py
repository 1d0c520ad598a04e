"""Job: its defaults, the labels by which it knows its pods, and what makes it valid."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import not_negative, supported
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.kinds.jobrules import (
    default_failure_policy,
    validate_failure_policy,
    validate_index_limits,
    validate_success_policy,
)
from tidegate.apiserver.registry.kinds.poddefaults import default_template
from tidegate.apiserver.registry.kinds.podvalidation import validate_template
from tidegate.apiserver.registry.names import subdomain_problem
from tidegate.apiserver.values import ensure, mapping, section
from tidegate.kube.objects import Object
from tidegate.kube.resources import JOBS
from tidegate.kube.selectors import selector_from_spec

_CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
_MODES = ("Indexed", "NonIndexed")
_RESTARTS = ("OnFailure", "Never")
_MAX_INDEXED = 100_000
_UNLIMITED = 2**31 - 1
_MAX_MANAGER = 63


def _default_job(obj: Object) -> None:
    spec = ensure(obj, "spec")
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    for name, value in (
        ("parallelism", 1),
        ("backoffLimit", 6 if spec.get("backoffLimitPerIndex") is None else _UNLIMITED),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
    ):
        if spec.get(name) is None:
            spec[name] = value
    default_failure_policy(spec)
    template = ensure(spec, "template")
    default_template(template)
    if not spec.get("manualSelector") and not spec.get("selector"):
        _generate_selector(obj, spec, template)
    metadata = ensure(obj, "metadata")
    if not metadata.get("labels") and section(template, "metadata").get("labels"):
        metadata["labels"] = dict(section(template, "metadata")["labels"])
    ensure(obj, "status")


def _generate_selector(obj: Object, spec: Object, template: Object) -> None:
    uid, name = obj["metadata"]["uid"], obj["metadata"].get("name", "")
    labels = ensure(ensure(template, "metadata"), "labels")
    labels.update(
        {
            _CONTROLLER_UID: uid,
            "controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "job-name": name,
        }
    )
    spec["selector"] = {"matchLabels": {_CONTROLLER_UID: uid}}


def _validate_job(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    for name in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ):
        not_negative(spec, name, "spec", errors)
    supported(spec, "completionMode", _MODES, "spec", errors)
    if spec["completionMode"] == "Indexed":
        _validate_indexed(spec, errors)
    template = section(spec, "template")
    validate_template(template, "spec.template", errors)
    if section(template, "spec").get("restartPolicy") not in _RESTARTS:
        errors.required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    validate_failure_policy(spec, errors)
    validate_success_policy(spec, errors)
    validate_index_limits(spec, errors)
    _validate_manager(spec, errors)
    _validate_selector(obj, spec, template, errors)
    if old is not None:
        _validate_change(spec, section(old, "spec"), section(old, "status"), errors)


def _validate_manager(spec: Object, errors: FieldErrors) -> None:
    manager = spec.get("managedBy")
    if manager is None:
        return
    domain, slash, rest = str(manager).partition("/")
    problem = subdomain_problem(domain)
    if not slash or not domain or not rest:
        problem = 'must be a domain-prefixed path (such as "acme.io/foo")'
    elif len(manager) > _MAX_MANAGER:
        errors.too_long("spec.managedBy", _MAX_MANAGER)
    if problem:
        errors.invalid("spec.managedBy", manager, problem)


def _validate_indexed(spec: Object, errors: FieldErrors) -> None:
    if spec.get("completions") is None:
        errors.required("spec.completions", "when completion mode is Indexed")
    for name in ("completions", "parallelism"):
        if (spec.get(name) or 0) > _MAX_INDEXED:
            errors.invalid(
                f"spec.{name}", spec[name], f"must be less than or equal to {_MAX_INDEXED}"
            )


def _validate_selector(obj: Object, spec: Object, template: Object, errors: FieldErrors) -> None:
    if not spec.get("selector"):
        errors.required("spec.selector")
        return
    labels = mapping(section(template, "metadata").get("labels"))
    if not selector_from_spec(spec["selector"]).matches(labels):
        errors.invalid(
            "spec.template.metadata.labels", labels, "`selector` does not match template `labels`"
        )
    own = {_CONTROLLER_UID: obj["metadata"]["uid"]}
    if not spec.get("manualSelector") and section(spec, "selector", "matchLabels") != own:
        errors.invalid("spec.selector", spec["selector"], "`selector` not auto-generated")


def _validate_change(spec: Object, old: Object, status: Object, errors: FieldErrors) -> None:
    if not _is_resized_together(spec, old):
        errors.immutable("spec.completions", old.get("completions"), spec.get("completions"))
    errors.immutable("spec.selector", old.get("selector"), spec.get("selector"))
    errors.immutable("spec.completionMode", old["completionMode"], spec["completionMode"])
    for name in ("podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "managedBy"):
        errors.immutable(f"spec.{name}", old.get(name), spec.get(name))
    before, after = old["template"], spec["template"]
    if old.get("suspend") and not status.get("startTime"):
        before, after = _fixed_part(before), _fixed_part(after)
    errors.immutable("spec.template", before, after)


def _is_resized_together(spec: Object, old: Object) -> bool:
    """An Indexed job may grow and shrink where all its indexes run at once before and after."""
    return spec["completionMode"] == "Indexed" and all(
        part.get("completions") is not None and part["completions"] == part["parallelism"]
        for part in (spec, old)
    )


def _fixed_part(template: Object) -> Object:
    """The template without what says where pods run, which may change before the first start."""
    pod_spec = section(template, "spec")
    free = ("nodeSelector", "tolerations", "schedulingGates", "affinity")
    return {"spec": {name: value for name, value in pod_spec.items() if name not in free}}


JOB_KINDS = (
    builtin(
        JOBS,
        "batch",
        default=_default_job,
        validate=_validate_job,
        status_subresource=True,
        generation=True,
        default_propagation="Orphan",
    ),
)
