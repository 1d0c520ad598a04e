"""Acting as somebody else, as `kubectl --as` asks for: allowed by the verb `impersonate`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from tidegate.apiserver.authn.identities import account_of, user_named
from tidegate.apiserver.authz.rbac import Action
from tidegate.apiserver.requests import User
from tidegate.kube.errors import BadRequest

_USER = "impersonate-user"
_GROUP = "impersonate-group"
_UID = "impersonate-uid"
_EXTRA = "impersonate-extra-"
_EXTRA_GROUP = "authentication.k8s.io"
_VERB = "impersonate"


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


def required_permissions(user: User, asked_groups: tuple[str, ...]) -> list[Action]:
    """What the caller must be allowed to do in order to act as `user`.

    Args:
        asked_groups: those in the headers; others follow from the user's name.
    """
    account = account_of(user.name)
    if account:
        namespace, name = account
        first = Action(_VERB, "", "serviceaccounts", namespace=namespace, name=name)
    else:
        first = Action(_VERB, "", "users", name=user.name)
    actions = [first, *(Action(_VERB, "", "groups", name=group) for group in asked_groups)]
    if user.uid:
        actions.append(Action(_VERB, _EXTRA_GROUP, "uids", name=user.uid))
    for key, values in user.extra.items():
        actions.extend(Action(_VERB, _EXTRA_GROUP, "userextras", key, name=v) for v in values)
    return actions
