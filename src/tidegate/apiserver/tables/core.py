"""Namespaces, nodes, events, configuration, leases and the like in tables."""

from __future__ import annotations

from tidegate.apiserver.registry.kinds.events import core_event
from tidegate.apiserver.tables.ages import UNKNOWN, age
from tidegate.apiserver.tables.columns import AGE, NAME, Cell, Column, Layout, wide
from tidegate.apiserver.tables.common import NONE, age_of, listed, part
from tidegate.kube.objects import Object, condition_of, labels_of, name_of

_ROLE_LABEL = "node-role.kubernetes.io/"


def _plain(obj: Object, now: float) -> list[Cell]:
    return [name_of(obj), age_of(obj, now)]


def _created(obj: Object, _now: float) -> list[Cell]:
    return [name_of(obj), obj["metadata"].get("creationTimestamp", "")]


def _namespace(obj: Object, now: float) -> list[Cell]:
    return [name_of(obj), part(obj, "status").get("phase", ""), age_of(obj, now)]


def _config_map(obj: Object, now: float) -> list[Cell]:
    count = len(part(obj, "data")) + len(part(obj, "binaryData"))
    return [name_of(obj), count, age_of(obj, now)]


def _secret(obj: Object, now: float) -> list[Cell]:
    return [name_of(obj), obj.get("type", ""), len(part(obj, "data")), age_of(obj, now)]


def _service_account(obj: Object, now: float) -> list[Cell]:
    return [name_of(obj), len(listed(obj, "secrets")), age_of(obj, now)]


def _lease(obj: Object, now: float) -> list[Cell]:
    return [name_of(obj), part(obj, "spec").get("holderIdentity", ""), age_of(obj, now)]


def _priority_class(obj: Object, now: float) -> list[Cell]:
    is_default = bool(obj.get("globalDefault"))
    return [name_of(obj), obj["value"], is_default, age_of(obj, now), obj["preemptionPolicy"]]


def _node(obj: Object, now: float) -> list[Cell]:
    info = part(obj, "status", "nodeInfo")
    return [
        name_of(obj),
        _node_status(obj),
        _node_roles(obj),
        age_of(obj, now),
        info.get("kubeletVersion", ""),
        _node_address(obj, "InternalIP"),
        _node_address(obj, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(obj: Object) -> str:
    ready = condition_of(obj, "Ready")
    word = "Unknown"
    if ready is not None:
        word = "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if part(obj, "spec").get("unschedulable") else word


def _node_roles(obj: Object) -> str:
    roles = {
        label.removeprefix(_ROLE_LABEL) for label in labels_of(obj) if label.startswith(_ROLE_LABEL)
    }
    return ",".join(sorted(role for role in roles if role)) or NONE


def _node_address(obj: Object, kind: str) -> str:
    for address in listed(part(obj, "status"), "addresses"):
        if address.get("type") == kind:
            return str(address.get("address"))
    return NONE


def _event(obj: Object, now: float) -> list[Cell]:
    involved, source = part(obj, "involvedObject"), part(obj, "source")
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    series = part(obj, "series")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    component = str(source.get("component") or obj.get("reportingComponent") or "")
    host = str(source.get("host") or "")
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        str(obj.get("message") or "").strip(),
        age(first, now),
        series.get("count") or obj.get("count") or 1,
        name_of(obj),
    ]


DEFAULT = Layout((NAME, AGE), _plain)
CREATED_AT = Layout((NAME, Column("Created At")), _created)
NAMESPACES = Layout((NAME, Column("Status"), AGE), _namespace)
CONFIG_MAPS = Layout((NAME, Column("Data"), AGE), _config_map)
SECRETS = Layout((NAME, Column("Type"), Column("Data"), AGE), _secret)
SERVICE_ACCOUNTS = Layout((NAME, Column("Secrets"), AGE), _service_account)
LEASES = Layout((NAME, Column("Holder"), AGE), _lease)
PRIORITY_CLASSES = Layout(
    (
        NAME,
        Column("Value", "integer"),
        Column("Global-Default", "boolean"),
        AGE,
        Column("PreemptionPolicy"),
    ),
    _priority_class,
)
NODES = Layout(
    (
        NAME,
        Column("Status"),
        Column("Roles"),
        AGE,
        Column("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ),
    _node,
)
_EVENT_COLUMNS = (
    Column("Last Seen"),
    Column("Type"),
    Column("Reason"),
    Column("Object"),
    wide("Subobject"),
    wide("Source"),
    Column("Message"),
    wide("First Seen"),
    wide("Count"),
    Column("Name", format="name", priority=1),
)
EVENTS = Layout(_EVENT_COLUMNS, _event)
EVENTS_V1 = Layout(_EVENT_COLUMNS, lambda obj, now: _event(core_event(obj), now))
