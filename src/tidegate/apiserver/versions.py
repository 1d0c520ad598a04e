"""Kinds that are not shown as they are stored.

Custom kinds are stored at the version they were written at; their versions differ in `apiVersion`
alone, for the only conversion offered is none. Others are a form of another kind.
"""

from __future__ import annotations

import orjson

from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.storage.stored import Event, Stored
from tidegate.kube.objects import Object


def served(spec: KindSpec, stored: Stored) -> Stored:
    """The object at the version of `spec`."""
    version = spec.resource.api_version
    if not spec.converts or stored.object.get("apiVersion") == version:
        return stored
    form = spec.form
    obj = form.from_stored(stored.object) if form else {**stored.object, "apiVersion": version}
    return Stored(obj, orjson.dumps(obj), stored.version)


def as_stored(spec: KindSpec, obj: Object) -> Object:
    """An object in the form in which it is to be stored."""
    if spec.form is None or obj.get("apiVersion") != spec.resource.api_version:
        return obj
    return spec.form.to_stored(obj)


def served_event(spec: KindSpec, event: Event) -> Event:
    """The event with its object at the version of `spec`."""
    stored = served(spec, event.stored)
    return event if stored is event.stored else Event(event.type, stored, event.previous)
