"""Acting as somebody else, as `kubectl --as` asks for: allowed by the verb `impersonate`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from tidegate.apiserver.authn.identities import account_of, user_named
from tidegate.apiserver.requests import User
from tidegate.kube.errors import BadRequest

_USER = "impersonate-user"
_GROUP = "impersonate-group"
_UID = "impersonate-uid"
_EXTRA = "impersonate-extra-"


def impersonated(headers: Mapping[str, list[str]]) -> User | None:
    """The user that the headers (names in lower case) ask to be; None when they do not.

    Raises:
        BadRequest: groups, uid or extra values without a user.
    """
    name = next(iter(headers.get(_USER, ())), "")
    groups = tuple(headers.get(_GROUP, ()))
    uid = next(iter(headers.get(_UID, ())), "")
    extra = {
        unquote(header.removeprefix(_EXTRA)): tuple(values)
        for header, values in headers.items()
        if header.startswith(_EXTRA)
    }
    if not name:
        if groups or uid or extra:
            raise BadRequest("requested to impersonate a group, uid or extra value without a user")
        return None
    user = user_named(name, groups)
    return User(user.name, user.groups, uid, extra)


def required_permissions(user: User, asked_groups: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """What the caller must be allowed to impersonate, as (resource, namespace, name)."""
    account = account_of(user.name)
    first = ("serviceaccounts", *account) if account else ("users", "", user.name)
    return [first, *(("groups", "", group) for group in asked_groups)]
