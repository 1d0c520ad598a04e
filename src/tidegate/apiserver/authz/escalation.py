"""Nobody gives away more than they have: the check on writes of roles and bindings.

A role may be written by who holds all its permissions, or the verb `escalate`; a binding by who
holds all permissions of its role, or the verb `bind` on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.apiserver.api import Api
from tidegate.apiserver.authz.authorizer import RbacAuthorizer
from tidegate.apiserver.authz.rbac import Action, Rule, describe, rules_of, uncovered
from tidegate.apiserver.refusals import forbidden
from tidegate.apiserver.registry.fielderrors import show
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.apiserver.storage.store import Store
from tidegate.apiserver.storage.stored import Stored
from tidegate.kube.clock import Clock
from tidegate.kube.errors import NotFound
from tidegate.kube.objects import Key, Object
from tidegate.kube.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES

_ROLES = (ROLES, CLUSTER_ROLES)
_BINDINGS = (ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS)


class GuardedApi(Api):
    """The pipeline with the escalation check before roles and bindings are stored."""

    def __init__(
        self, store: Store, registry: Registry, authorizer: RbacAuthorizer, *, clock: Clock
    ) -> None:
        super().__init__(store, registry, authorizer, clock=clock)
        self._rbac = authorizer

    async def _create(
        self, context: RequestContext, spec: KindSpec, obj: Object, namespace: str | None
    ) -> Stored:
        self._check(context, spec, obj, None, namespace)
        return await super()._create(context, spec, obj, namespace)

    async def _replace(
        self, context: RequestContext, spec: KindSpec, key: Key, new: Object, old: Stored
    ) -> Stored:
        self._check(context, spec, new, old.object, key.namespace)
        return await super()._replace(context, spec, key, new, old)

    def _check(
        self,
        context: RequestContext,
        spec: KindSpec,
        obj: Object,
        old: Object | None,
        namespace: str | None,
    ) -> None:
        if spec.resource in _ROLES:
            fields = ("rules", "aggregationRule")
            if old is None or any(obj.get(field) != old.get(field) for field in fields):
                self._check_role(context, spec, obj, namespace or "")
        elif spec.resource in _BINDINGS:
            fields = ("roleRef", "subjects")
            if old is None or any(obj.get(field) != old.get(field) for field in fields):
                self._check_binding(context, spec, obj, namespace or "")

    def _check_role(
        self, context: RequestContext, spec: KindSpec, obj: Object, namespace: str
    ) -> None:
        if not _well_formed(obj.get("rules")):
            return
        wanted = list(rules_of(obj))
        if obj.get("aggregationRule"):
            everything = frozenset(("*",))
            wanted.append(Rule(everything, everything, everything))
            wanted.append(Rule(everything, non_resource_urls=("*",)))
        name = _name(obj)
        if not self._holds(context, spec, "escalate", name, namespace):
            self._check_covered(context, spec, name, wanted, namespace)

    def _check_binding(
        self, context: RequestContext, spec: KindSpec, obj: Object, namespace: str
    ) -> None:
        reference: Any = obj.get("roleRef")
        if not isinstance(reference, Mapping):
            return
        role: Mapping[str, Any] = reference  # pyright: ignore[reportUnknownVariableType]
        kind = CLUSTER_ROLES if role.get("kind") == "ClusterRole" else ROLES
        name = str(role.get("name") or "")
        action = Action("bind", kind.group, kind.plural, namespace=namespace, name=name)
        if self._rbac.decide(context.user, action).allowed:
            return
        rules = self._rbac.role_rules(role, namespace)
        if rules is None:
            raise NotFound(
                f'{kind.qualified} "{name}" not found',
                resource=kind.plural,
                group=kind.group,
                name=name,
            )
        self._check_covered(context, spec, _name(obj), rules, namespace)

    def _holds(
        self, context: RequestContext, spec: KindSpec, verb: str, name: str, namespace: str
    ) -> bool:
        resource = spec.resource
        action = Action(verb, resource.group, resource.plural, namespace=namespace, name=name)
        return self._rbac.decide(context.user, action).allowed

    def _check_covered(
        self,
        context: RequestContext,
        spec: KindSpec,
        name: str,
        wanted: Iterable[Rule],
        namespace: str,
    ) -> None:
        missing = uncovered(wanted, self._rbac.rules_for(context.user, namespace))
        if missing:
            user = context.user
            listed = "\n".join(describe(rule) for rule in missing)
            groups = show(list(user.groups))
            raise forbidden(
                spec.resource,
                name,
                f'user "{user.name}" (groups={groups}) is attempting to grant RBAC '
                f"permissions not currently held:\n{listed}",
            )


def _well_formed(rules: Any) -> bool:
    # Anything else is refused by the validation that follows.
    return isinstance(rules, list) and all(isinstance(rule, dict) for rule in rules)  # pyright: ignore[reportUnknownVariableType]


def _name(obj: Object) -> str:
    metadata: Any = obj.get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""  # pyright: ignore
