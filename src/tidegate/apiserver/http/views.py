"""The forms in which objects are sent: as stored, as table rows, or as metadata alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from tidegate.apiserver.http.accept import JSON, MediaType, NotAcceptable, negotiate
from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.options import Listing
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.storage.stored import Event, Stored
from tidegate.apiserver.tables.columns import Layout
from tidegate.apiserver.tables.render import layout_for, partial_metadata, render_table
from tidegate.apiserver.tables.workloads import SCALES
from tidegate.kube.client import EventType
from tidegate.kube.clock import Clock
from tidegate.kube.errors import BadRequest

_INCLUDES = ("None", "Metadata", "Object")


class View(Protocol):
    """One form."""

    content_type: bytes

    def one(self, stored: Stored) -> Iterable[bytes]:
        """A single object."""
        ...

    def page(self, listing: Listing) -> Iterable[bytes]:
        """A list."""
        ...

    def line(self, event: Event) -> bytes:
        """One line of a watch."""
        ...


def view_for(exchange: Exchange, spec: KindSpec, clock: Clock, *, subresource: str = "") -> View:
    """The form the client asks for in its Accept header.

    Raises:
        NotAcceptable: none of those is served.
    """
    media = negotiate(exchange.headers.get("accept", ""))
    transform = media.transform
    if transform and spec.create_handler:
        raise NotAcceptable(f"only the following media types are accepted: {JSON}")
    if transform == "Table":
        include = exchange.query.get("includeObject") or "Metadata"
        if include not in _INCLUDES:
            raise BadRequest(f"includeObject: Unsupported value: {include!r}: use {_INCLUDES}")
        layout = SCALES if subresource == "scale" else layout_for(spec)
        return _TableView(layout, clock, include, _content_type(media))
    if transform:
        return _MetadataView(_content_type(media))
    if exchange.query.get("pretty") in ("true", "1"):
        return _PrettyView(spec)
    return _PlainView(spec)


@dataclass
class _PlainView:
    spec: KindSpec
    content_type: bytes = b"application/json"

    def one(self, stored: Stored) -> Iterable[bytes]:
        return (stored.raw,)

    def page(self, listing: Listing) -> Iterable[bytes]:
        return listing.chunks(self.spec.resource)

    def line(self, event: Event) -> bytes:
        return event.line()


class _PrettyView(_PlainView):
    def one(self, stored: Stored) -> Iterable[bytes]:
        return (orjson.dumps(stored.object, option=orjson.OPT_INDENT_2),)

    def page(self, listing: Listing) -> Iterable[bytes]:
        value = orjson.loads(b"".join(listing.chunks(self.spec.resource)))
        return (orjson.dumps(value, option=orjson.OPT_INDENT_2),)


@dataclass
class _TableView:
    layout: Layout
    clock: Clock
    include: str
    content_type: bytes
    headers_sent: bool = False

    def one(self, stored: Stored) -> Iterable[bytes]:
        return (self._table((stored,), {"resourceVersion": str(stored.version)}),)

    def page(self, listing: Listing) -> Iterable[bytes]:
        return (self._table(listing.items, _list_metadata(listing)),)

    def line(self, event: Event) -> bytes:
        metadata = {"resourceVersion": str(event.version)}
        items = () if event.type is EventType.BOOKMARK else (event.stored,)
        table = self._table(items, metadata, headers=not self.headers_sent)
        self.headers_sent = True
        return _line(event, table)

    def _table(
        self, items: Iterable[Stored], metadata: dict[str, Any], *, headers: bool = True
    ) -> bytes:
        return render_table(
            self.layout,
            items,
            now=self.clock.time(),
            include=self.include,
            metadata=metadata,
            headers=headers,
        )


@dataclass
class _MetadataView:
    content_type: bytes

    def one(self, stored: Stored) -> Iterable[bytes]:
        return (orjson.dumps(partial_metadata(stored)),)

    def page(self, listing: Listing) -> Iterable[bytes]:
        return (
            orjson.dumps(
                {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": _list_metadata(listing),
                    "items": [partial_metadata(item) for item in listing.items],
                }
            ),
        )

    def line(self, event: Event) -> bytes:
        return _line(event, orjson.dumps(partial_metadata(event.stored)))


def _line(event: Event, obj: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (event.type.encode(), obj)


def _list_metadata(listing: Listing) -> dict[str, Any]:
    metadata: dict[str, Any] = {"resourceVersion": str(listing.version)}
    if listing.continue_token:
        metadata["continue"] = listing.continue_token
    if listing.remaining is not None:
        metadata["remainingItemCount"] = listing.remaining
    return metadata


def _content_type(media: MediaType) -> bytes:
    # Only what was asked for is echoed, and only in its known form.
    return f"application/json;as={media.transform};v={media.get('v')};g=meta.k8s.io".encode()
