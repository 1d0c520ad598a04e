"""Events of the group events.k8s.io: those of the core group under other names.

Kubernetes keeps both as one, so that who writes in one form is read in the other.
"""

from __future__ import annotations

from tidegate.apiserver.registry.kinds.common import builtin
from tidegate.apiserver.registry.spec import Form
from tidegate.kube.objects import Object
from tidegate.kube.resources import EVENTS, Resource

EVENTS_V1 = Resource("events.k8s.io", "v1", "Event", "events", True, ("ev",))

_NAMES = (
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
)
_TO_CORE = dict(_NAMES)
_FROM_CORE = {core: name for name, core in _NAMES}


def core_event(obj: Object) -> Object:
    """An event of events.k8s.io in the form of the core group."""
    found = {_TO_CORE.get(name, name): value for name, value in obj.items()}
    found.setdefault("involvedObject", {"namespace": obj["metadata"].get("namespace", "")})
    return {**found, "apiVersion": EVENTS.api_version}


def event_of_core(obj: Object) -> Object:
    """An event of the core group in the form of events.k8s.io."""
    found = {_FROM_CORE.get(name, name): value for name, value in obj.items()}
    found.setdefault("eventTime", None)
    return {**found, "apiVersion": EVENTS_V1.api_version}


EVENT_KINDS = (
    builtin(
        EVENTS_V1,
        "events",
        form=Form(EVENTS, core_event, event_of_core),
        selectable_fields=(
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ),
    ),
)
