"""Keeps the rules of aggregated ClusterRoles: the union of the roles their selectors match."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.apiserver.authz.rbac import aggregated
from tidegate.kube.controller import Context, Controller
from tidegate.kube.objects import Key, Object, key_of
from tidegate.kube.resources import CLUSTER_ROLES


class RoleAggregation:
    """Reconciles ClusterRoles that have an aggregationRule."""

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._roles = context.informers.of(CLUSTER_ROLES)
        self.controller = Controller(
            "clusterrole-aggregation", self.reconcile, clock=context.clock, workers=1
        ).watch(self._roles, self._affected)

    async def reconcile(self, key: Key) -> float | None:
        """Write the union where it differs."""
        role = self._roles.get(key.name)
        rules = aggregated(role, self._roles.items()) if role is not None else None
        if role is None or rules is None or rules == (role.get("rules") or []):
            return None
        await self._client.update(CLUSTER_ROLES, {**role, "rules": rules})
        return None

    def _affected(self, _changed: Object) -> Iterable[Key]:
        return [key_of(role) for role in self._roles.items() if role.get("aggregationRule")]
