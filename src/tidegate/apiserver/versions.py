"""Custom kinds at several versions: stored as they were written, shown at the version asked for.

Versions of a custom kind differ in `apiVersion` alone, for the only conversion offered is none.
"""

from __future__ import annotations

import orjson

from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.storage.stored import Event, Stored


def served(spec: KindSpec, stored: Stored) -> Stored:
    """The object at the version of `spec`."""
    version = spec.resource.api_version
    if not spec.custom or stored.object.get("apiVersion") == version:
        return stored
    obj = {**stored.object, "apiVersion": version}
    return Stored(obj, orjson.dumps(obj), stored.version)


def served_event(spec: KindSpec, event: Event) -> Event:
    """The event with its object at the version of `spec`."""
    stored = served(spec, event.stored)
    return event if stored is event.stored else Event(event.type, stored, event.previous)
