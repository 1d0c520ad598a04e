"""The names and groups by which Kubernetes knows its users."""

from __future__ import annotations

from functools import lru_cache

from tidegate.apiserver.requests import User

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
MONITORING = "system:monitoring"
NODES = "system:nodes"
ACCOUNTS = "system:serviceaccounts"
ACCOUNT_PREFIX = "system:serviceaccount:"

ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return (ACCOUNTS, f"{ACCOUNTS}:{namespace}", AUTHENTICATED)


def account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account behind a user name, None for other users."""
    if not name.startswith(ACCOUNT_PREFIX):
        return None
    namespace, found, account = name.removeprefix(ACCOUNT_PREFIX).partition(":")
    return (namespace, account) if found and namespace and account else None


@lru_cache(maxsize=1024)
def user_named(name: str, groups: tuple[str, ...] = ()) -> User:
    """A user with the groups that follow from the name alone added to `groups`."""
    account = account_of(name)
    implied = account_groups(account[0]) if account else (AUTHENTICATED,)
    return User(name, tuple(dict.fromkeys((*groups, *implied))))
