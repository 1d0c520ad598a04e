"""The options of list, watch and delete, and the answers of list and delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from tidegate.apiserver.storage.stored import Stored
from tidegate.kube.resources import Resource


@dataclass(frozen=True)
class ListOptions:
    """Query parameters of a list.

    Attributes:
        limit: items per page; 0 for all.
        continue_token: from the page before.
        resource_version: empty, `0` or a version.
        resource_version_match: empty, `Exact` or `NotOlderThan`.
    """

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""


@dataclass(frozen=True)
class WatchOptions:
    """Query parameters of a watch.

    Attributes:
        resource_version: changes after it; empty or `0` begins with all that is there.
        send_initial_events: None for the rule above; True sends what is there and then a bookmark
            that says so; False sends only changes from now on.
    """

    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    send_initial_events: bool | None = None


@dataclass(frozen=True)
class DeleteOptions:
    """The body of a delete.

    Attributes:
        propagation: `Background`, `Foreground`, `Orphan`; empty for the kind's default.
        grace_period_seconds: None for the object's own.
        uid: precondition.
        resource_version: precondition.
    """

    propagation: str = ""
    grace_period_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None


@dataclass(frozen=True)
class Listing:
    """One page of a list, as of one version.

    Attributes:
        continue_token: for the next page; empty on the last one.
        remaining: how many items follow, None when not known.
    """

    items: list[Stored] = field(repr=False)
    version: int
    continue_token: str = ""
    remaining: int | None = None

    def chunks(self, resource: Resource) -> Iterator[bytes]:
        """The list object as JSON, in pieces to be joined."""
        metadata: dict[str, str | int] = {"resourceVersion": str(self.version)}
        if self.continue_token:
            metadata["continue"] = self.continue_token
        if self.remaining is not None:
            metadata["remainingItemCount"] = self.remaining
        yield b'{"kind":%s,"apiVersion":%s,"metadata":%s,"items":[' % (
            orjson.dumps(resource.list_kind),
            orjson.dumps(resource.api_version),
            orjson.dumps(metadata),
        )
        yield b",".join([item.raw for item in self.items])
        yield b"]}"


@dataclass(frozen=True)
class Deletion:
    """What a delete did: the last state, and whether the object is gone or still ending."""

    stored: Stored
    removed: bool
