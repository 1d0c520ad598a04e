"""What several gateways tell each other and the autoscaler, in Leases.

Each gateway keeps one Lease in `tidegate-system`: that it is alive. While there is more than one,
each revision has a Lease too, on which every gateway has an annotation of its own: the places of
pods that belong to it, and what its clients want. A place belongs to a gateway from the write
that says so until the write that no longer does; a gateway without an annotation may have all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, cast

from pydantic import ConfigDict, Field, TypeAdapter

from tidegate.kube.objects import Key, Object, annotations_of, labels_of, namespace_of

NAMESPACE = "tidegate-system"
GATEWAY = "tidegate.dev/gateway"
REVISION = "tidegate.dev/gateways-of"
ENDS_WITHIN = "tidegate.dev/ends-within"

_ENTRY = "gateways.tidegate.dev/"
_Count = Annotated[int, Field(ge=0)]
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")


@dataclass(frozen=True)
class Entry:
    """One gateway's part of a revision.

    Attributes:
        places: by pod, those that are its own; empty for a revision without a limit.
        in_flight, queued, held, requests: as in `demand.Demand`.
        pods: requests in flight by pod.
        since: epoch seconds since when it has had places, or has had none.
        version: counts its writes, so that no two are the same.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    places: dict[str, _Count] = field(default_factory=dict[str, int])
    in_flight: _Count = 0
    queued: _Count = 0
    held: _Count = 0
    requests: _Count = 0
    pods: dict[str, _Count] = field(default_factory=dict[str, int])
    since: float = 0.0
    version: _Count = 0

    @property
    def total(self) -> int:
        return self.in_flight + self.queued + self.held


# Whoever may write Leases may have written anything.
_ENTRIES = TypeAdapter(Entry)


def is_name(text: str) -> bool:
    """Whether a gateway can be called so."""
    return _NAME.fullmatch(text) is not None


def lease_of_gateway(name: str) -> str:
    """The name of a gateway's Lease."""
    return f"gateway-{name}"


def lease_of_revision(revision: Key) -> str:
    """The name of the Lease that the gateways of a revision write to."""
    return f"{revision.name}.gateways"


def annotation_of(gateway: str) -> str:
    """The annotation of a revision's Lease that is this gateway's."""
    return _ENTRY + gateway


def gateway_named(lease: Object) -> str:
    """The gateway whose Lease it is."""
    return labels_of(lease).get(GATEWAY, "")


def revision_named(lease: Object) -> Key:
    """The revision whose Lease it is."""
    return Key(namespace_of(lease), labels_of(lease).get(REVISION, ""))


def encode(entry: Entry) -> str:
    """The annotation's text."""
    return json.dumps(
        {name: value for name, value in vars(entry).items() if value}, separators=(",", ":")
    )


def decode(text: str) -> Entry | None:
    """The entry of an annotation's text, None for one that no gateway has written."""
    try:
        return _ENTRIES.validate_json(text, strict=True)
    except ValueError:
        return None


def entries_of(lease: Object | None) -> dict[str, Entry]:
    """All gateways' entries on the Lease of a revision."""
    annotations: Mapping[str, str] = annotations_of(lease) if lease is not None else {}
    found: dict[str, Entry] = {}
    for name, text in annotations.items():
        entry = decode(text) if name.startswith(_ENTRY) else None
        if entry is not None:
            found[name.removeprefix(_ENTRY)] = entry
    return found


def renewed_at(lease: Object) -> str:
    """The Lease's `renewTime`; only its changes count, for clocks differ."""
    spec = cast("Object", lease.get("spec") or {})
    return str(spec.get("renewTime", ""))


def duration_of(lease: Object) -> float:
    """Seconds after a renewal for which the Lease holds."""
    spec = cast("Object", lease.get("spec") or {})
    return float(spec.get("leaseDurationSeconds") or 0)


def ends_within(lease: Object) -> float | None:
    """Seconds after the Lease has run out in which all that its gateway had in pods has ended.

    None for a gateway that has not promised any.
    """
    text = annotations_of(lease).get(ENDS_WITHIN, "")
    return float(text) if text.isdecimal() else None
