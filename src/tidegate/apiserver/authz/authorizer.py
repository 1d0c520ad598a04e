"""RBAC over the live roles and bindings.

The bindings are indexed by subject; the index is built anew, lazily, when one of the four kinds
has changed, so that a decision costs a few dictionary look-ups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.apiserver.authn.identities import ACCOUNT_PREFIX, MASTERS
from tidegate.apiserver.authz.rbac import Action, Rule, allows, rules_of
from tidegate.apiserver.requests import Decision, User
from tidegate.apiserver.storage.log import Cursor
from tidegate.apiserver.storage.store import Store
from tidegate.apiserver.view import bucket_of
from tidegate.kube.errors import Gone
from tidegate.kube.objects import Key, Object, name_of, namespace_of
from tidegate.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    Resource,
)

_KINDS = (CLUSTER_ROLES, ROLES, CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS)
_DENIED = Decision(False)
_MASTER = Decision(True)


@dataclass(frozen=True)
class Grant:
    """A role bound to a subject; `namespace` is empty where it holds everywhere."""

    namespace: str
    rules: tuple[Rule, ...]
    reason: str


class RbacAuthorizer:
    """Satisfies `requests.Authorizer`.

    Args:
        store: open; holds roles and bindings.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cursors: list[Cursor] = []
        self._grants: dict[tuple[str, str], list[Grant]] = {}

    def authorize(
        self,
        user: User,
        verb: str,
        resource: Resource,
        subresource: str = "",
        namespace: str | None = None,
        name: str = "",
    ) -> Decision:
        """May `user` do `verb` to a resource."""
        # A Namespace object counts as being inside of itself.
        inside = name if resource == NAMESPACES else namespace
        return self.decide(
            user,
            Action(
                verb=verb,
                group=resource.group,
                resource=resource.plural,
                subresource=subresource,
                namespace=inside or "",
                name=name,
            ),
        )

    def decide(self, user: User, action: Action) -> Decision:
        """May `user` do `action`."""
        if MASTERS in user.groups:
            return _MASTER
        for grant in self._grants_in(user, action.namespace):
            if any(allows(rule, action) for rule in grant.rules):
                return Decision(True, grant.reason)
        return _DENIED

    def rules_for(self, user: User, namespace: str) -> list[Rule]:
        """All rules that hold for `user` in a namespace, or everywhere when it is empty."""
        if MASTERS in user.groups:
            everything = frozenset(("*",))
            return [
                Rule(verbs=everything, api_groups=everything, resources=everything),
                Rule(verbs=everything, non_resource_urls=("*",)),
            ]
        return [rule for grant in self._grants_in(user, namespace) for rule in grant.rules]

    def role_rules(self, reference: Mapping[str, Any], namespace: str) -> tuple[Rule, ...] | None:
        """The rules a roleRef stands for, None when there is no such role."""
        self._refresh()
        role = self._role(reference, namespace)
        return rules_of(role) if role is not None else None

    def _grants_in(self, user: User, namespace: str) -> Iterator[Grant]:
        self._refresh()
        for subject in (("User", user.name), *(("Group", group) for group in user.groups)):
            for grant in self._grants.get(subject, ()):
                if not grant.namespace or grant.namespace == namespace:
                    yield grant

    def _refresh(self) -> None:
        if self._cursors and not self._changed():
            return
        # The cursors first: what changes while the index is built is seen the next time.
        self._cursors = [self._store.cursor(bucket_of(kind)) for kind in _KINDS]
        self._grants = {}
        for kind in (CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS):
            for stored in self._store.items(bucket_of(kind)):
                self._index(kind, stored.object)

    def _changed(self) -> bool:
        try:
            # All are polled, so that none falls behind.
            return sum(len(cursor.poll()) for cursor in self._cursors) > 0
        except Gone:
            return True

    def _index(self, kind: Resource, binding: Object) -> None:
        namespace = namespace_of(binding)
        reference: Mapping[str, Any] = binding.get("roleRef") or {}
        role = self._role(reference, namespace)
        if role is None:
            return
        where = f"{name_of(binding)}/{namespace}" if namespace else name_of(binding)
        rules = rules_of(role)
        for subject in binding.get("subjects") or ():
            key = _subject_key(subject, namespace)
            reason = (
                f'RBAC: allowed by {kind.kind} "{where}" of {reference.get("kind")} '
                f'"{reference.get("name")}" to {subject.get("kind")} "{key[1]}"'
            )
            self._grants.setdefault(key, []).append(Grant(namespace, rules, reason))

    def _role(self, reference: Mapping[str, Any], namespace: str) -> Object | None:
        name = str(reference.get("name") or "")
        if reference.get("kind") == "ClusterRole":
            stored = self._store.get(bucket_of(CLUSTER_ROLES), Key("", name))
        else:
            stored = self._store.get(bucket_of(ROLES), Key(namespace, name))
        return stored.object if stored else None


def _subject_key(subject: Mapping[str, Any], namespace: str) -> tuple[str, str]:
    kind, name = str(subject.get("kind", "")), str(subject.get("name", ""))
    if kind == "ServiceAccount":
        return "User", f"{ACCOUNT_PREFIX}{subject.get('namespace') or namespace}:{name}"
    return kind, name
