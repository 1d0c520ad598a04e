"""Lease: what makes it valid."""

from __future__ import annotations

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.kinds.checks import not_negative
from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.values import section
from tidegate.kube.objects import Object
from tidegate.kube.resources import LEASES


def _validate_lease(obj: Object, _: Object | None, errors: FieldErrors) -> None:
    spec = section(obj, "spec")
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        errors.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    not_negative(spec, "leaseTransitions", "spec", errors)


LEASE_KINDS = (
    builtin(
        LEASES,
        "coordination",
        validate=_validate_lease,
        unconditional_update=False,
        create_on_update=True,
    ),
)
