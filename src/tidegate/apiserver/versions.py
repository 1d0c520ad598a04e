"""Kinds that are not shown as they are stored.

Custom kinds are stored at the version they were written at; their versions differ in `apiVersion`
alone, for the only conversion offered is none. Defaults that their schema has got since are filled
in when they are read. Others are a form of another kind.
"""

from __future__ import annotations

import orjson

from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.storage.stored import Event, Stored
from tidegate.kube.objects import Object


def served(spec: KindSpec, stored: Stored) -> Stored:
    """The object at the version of `spec`."""
    if not spec.converts:
        return stored
    obj = stored.object
    shown = spec.complete(obj) if spec.complete else obj
    version = spec.resource.api_version
    if shown.get("apiVersion") != version:
        form = spec.form
        shown = form.from_stored(shown) if form else {**shown, "apiVersion": version}
    return stored if shown is obj else Stored(shown, orjson.dumps(shown), stored.version)


def as_stored(spec: KindSpec, obj: Object) -> Object:
    """An object in the form in which it is to be stored."""
    if spec.form is None or obj.get("apiVersion") != spec.resource.api_version:
        return obj
    return spec.form.to_stored(obj)


def served_event(spec: KindSpec, event: Event) -> Event:
    """The event with its object at the version of `spec`."""
    stored = served(spec, event.stored)
    return event if stored is event.stored else Event(event.type, stored, event.previous)
