"""Who asks and how: what every call of the `Api` carries beside the object itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tidegate.kube.resources import Resource


@dataclass(frozen=True)
class User:
    """An authenticated identity.

    Attributes:
        name: e.g. `system:serviceaccount:default:portal-server`.
        groups: e.g. `system:authenticated`, `system:masters`.
        uid: of the service account, where there is one.
        extra: what the authenticator adds, e.g. the pod a token is bound to.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


class FieldValidation(StrEnum):
    """What becomes of unknown and duplicate fields: refused, warned of, or dropped in silence."""

    STRICT = "Strict"
    WARN = "Warn"
    IGNORE = "Ignore"


@dataclass(frozen=True)
class RequestContext:
    """One request.

    Attributes:
        user: who asks; every call is authorized.
        dry_run: do everything but store.
        field_validation: for unknown fields.
        field_manager: the name under which server-side apply records the fields set.
        force: server-side apply takes fields over from other managers.
        warnings: the pipeline appends; HTTP sends them as `Warning` headers.
        duplicates: what the body gives more than once, in words; refused or warned of with the
            unknown fields.
    """

    user: User
    dry_run: bool = False
    field_validation: FieldValidation = FieldValidation.WARN
    field_manager: str = ""
    force: bool = False
    warnings: list[str] = field(default_factory=list[str])
    duplicates: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Decision:
    """An authorizer's answer; `reason` says which rule allowed or that none did."""

    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    """Decides whether a user may; called on the event loop, so it answers from memory."""

    def authorize(
        self,
        user: User,
        verb: str,
        resource: Resource,
        subresource: str = "",
        namespace: str | None = None,
        name: str = "",
    ) -> Decision:
        """May `user` do `verb` (get, list, watch, create, update, patch, delete,
        deletecollection) to `resource`, or to its `subresource`? `namespace` is None for
        cluster-scoped resources and for all namespaces; `name` is empty for collections."""
        ...
