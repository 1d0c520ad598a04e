"""Reads of kinds that are not stored: their objects are made anew for each who asks."""

from __future__ import annotations

import orjson

from tidegate.apiserver.options import Listing, ListOptions
from tidegate.apiserver.refusals import not_found
from tidegate.apiserver.registry.spec import KindSpec, Reader
from tidegate.apiserver.selection import selection
from tidegate.apiserver.storage.stored import Stored
from tidegate.kube.objects import Object, name_of


async def read_all(
    spec: KindSpec, reader: Reader, namespace: str | None, options: ListOptions, version: int
) -> Listing:
    """All that the options want, in one page. Raises BadRequest."""
    wanted = selection(spec, namespace, options.label_selector, options.field_selector)
    items = [_as_stored(obj) for obj in await reader(wanted.namespace)]
    matches = wanted.matches
    if matches is not None:
        items = [item for item in items if matches(item)]
    items.sort(key=lambda item: item.sort_key)
    return Listing(items, version)


async def read_one(spec: KindSpec, reader: Reader, namespace: str | None, name: str) -> Stored:
    """One object. Raises NotFound."""
    for obj in await reader(namespace):
        if name_of(obj) == name:
            return _as_stored(obj)
    raise not_found(spec.resource, name)


def _as_stored(obj: Object) -> Stored:
    return Stored(obj, orjson.dumps(obj), 0)
