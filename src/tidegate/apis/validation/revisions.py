"""Checks of a revision's own settings, of templates and of changes to them."""

from __future__ import annotations

import json
from typing import Any, cast

from tidegate.apis import serving
from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.fields import part
from tidegate.apis.names import dns1035_problems
from tidegate.apis.settings import Settings
from tidegate.apis.validation.metadata import validate_duration
from tidegate.apis.validation.pods import validate_pod_spec
from tidegate.apis.validation.scaling import validate_scaling
from tidegate.kube.objects import Object
from tidegate.kube.quantities import parse_quantity

_SIDECAR = "queue.sidecar.serving.knative.dev"
_PERCENTAGE = f"{_SIDECAR}/resource-percentage"
_SIDECAR_QUANTITIES = tuple(
    f"{_SIDECAR}/{name}-resource-{section}"
    for name in ("cpu", "memory", "ephemeral-storage")
    for section in ("request", "limit")
)


def validate_revision_spec(spec: Object, settings: Settings, errors: FieldErrors) -> None:
    """The whole spec of a revision."""
    validate_pod_spec(spec, settings, errors)
    defaults = settings.defaults
    timeout = spec.get("timeoutSeconds") or 0
    if not 0 <= timeout <= defaults.max_revision_timeout_seconds:
        errors.out_of_bounds(timeout, 0, defaults.max_revision_timeout_seconds, "timeoutSeconds")
    concurrency = spec.get("containerConcurrency") or 0
    low = 0 if defaults.allow_container_concurrency_zero else 1
    if not low <= concurrency <= defaults.container_concurrency_max_limit:
        high = defaults.container_concurrency_max_limit
        errors.out_of_bounds(concurrency, low, high, "containerConcurrency")


def validate_template(
    template: Object, parent: Object, settings: Settings, errors: FieldErrors
) -> None:
    """`spec.template` of `parent`; `errors` is at the template."""
    validate_revision_spec(part(template, "spec"), settings, errors.at("spec"))
    metadata: Object = template.get("metadata") or {}
    annotations: dict[str, str] = metadata.get("annotations") or {}
    place = errors.at("metadata").at("annotations")
    validate_scaling(annotations, settings, place)
    _validate_sidecar_percentage(annotations, place)
    _validate_sidecar_quantities(annotations, place)
    deadline = serving.PROGRESS_DEADLINE_ANNOTATION
    validate_duration(annotations, deadline, place, name="progress-deadline")
    _validate_revision_name(metadata, parent, errors.at("metadata"))


def _validate_revision_name(metadata: Object, parent: Object, errors: FieldErrors) -> None:
    prefix = metadata.get("generateName") or ""
    problems = dns1035_problems(prefix.rstrip("-")) if prefix else []
    if problems:
        text = f"not a DNS 1035 label prefix: [{' '.join(problems)}]"
        errors.invalid(text, "generateName")
    name = metadata.get("name") or ""
    if not name:
        return
    problems = dns1035_problems(name)
    if problems:
        errors.invalid(f"not a DNS 1035 label: [{' '.join(problems)}]", "name")
        return
    parent_name = parent["metadata"].get("name") or ""
    if not parent_name:
        errors.disallowed("name")
    elif not name.startswith(f"{parent_name}-"):
        errors.invalid(f'"{name}" must have prefix "{parent_name}-"', "name")


def _validate_sidecar_percentage(annotations: dict[str, str], errors: FieldErrors) -> None:
    text = annotations.get(_PERCENTAGE)
    if text is None:
        return
    try:
        value = float(text)
    except ValueError:
        errors.invalid(text, f"[{_PERCENTAGE}]")
        return
    if not 0.1 <= value <= 100:
        errors.out_of_bounds(f"{value:g}", 0.1, 100, f"[{_PERCENTAGE}]")


def _validate_sidecar_quantities(annotations: dict[str, str], errors: FieldErrors) -> None:
    for key in _SIDECAR_QUANTITIES:
        if key not in annotations:
            continue
        try:
            parse_quantity(annotations[key])
        except ValueError:
            errors.invalid(annotations[key], key)


def validate_name_change(new: Object, old: Object, errors: FieldErrors) -> None:
    """A template that names its Revision may only change together with that name."""
    name = part(new, "metadata").get("name") or ""
    if not name or name != part(old, "metadata").get("name"):
        return
    changes = difference(old, new)
    if changes:
        errors.at("metadata").add(
            "Saw the following changes without a name change (-old +new)",
            "name",
            details="\n".join(changes),
        )


def validate_unchanged(new: Object, old: Object, errors: FieldErrors) -> None:
    """A Revision's spec never changes; `errors` is at the object."""
    changes = difference(old.get("spec") or {}, new.get("spec") or {})
    if changes:
        errors.add("Immutable fields changed (-old +new)", "spec", details="\n".join(changes))


def difference(old: Any, new: Any, path: str = "") -> list[str]:
    """Lines that say what differs: the path, then `-old` and `+new`."""
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        before, after = cast("Object", old), cast("Object", new)
        return [
            line
            for key in sorted({*before, *after})
            for line in difference(before.get(key), after.get(key), f"{path}.{key}".strip("."))
        ]
    if isinstance(old, list) and isinstance(new, list):
        left, right = cast("list[Any]", old), cast("list[Any]", new)
        if len(left) == len(right):
            return [
                line
                for index, (before, after) in enumerate(zip(left, right, strict=True))
                for line in difference(before, after, f"{path}[{index}]")
            ]
    return [f"{path}:", f"\t-: {_shown(old)}", f"\t+: {_shown(new)}"]


def _shown(value: Any) -> str:
    return "<none>" if value is None else json.dumps(value)
