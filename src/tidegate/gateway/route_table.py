"""The entries of HAProxy's map of routes, and which KIngress each of them is for.

A host belongs to the KIngress that was there first; who comes later is blocked until it is free.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.gateway import routes
from tidegate.gateway.compiled import Compiled
from tidegate.gateway.dataplane import DataPlane
from tidegate.gateway.routes import RouteError, SlotOf
from tidegate.kube.objects import Key


class RouteTable:
    """Keeps the map of `plane` in line with the KIngresses.

    Args:
        plane: the HAProxy.
        slot_of: the slot of a revision or Service, None while it has none.

    Attributes:
        is_known: whether what the map holds is known; if not, the next `apply` looks at all of it.
    """

    def __init__(self, plane: DataPlane, slot_of: SlotOf) -> None:
        self.is_known = False
        self._plane = plane
        self._slot_of = slot_of
        self._served: dict[Key, dict[str, str]] = {}
        self._owners: dict[str, Key] = {}
        self._blocked: set[Key] = set()
        self._problems: dict[Key, str] = {}

    def problem(self, key: Key) -> str:
        """Why a KIngress is not served, or the empty string."""
        return self._problems.get(key, "")

    def apply(self, changed: set[Key], compiled: Mapping[Key, Compiled]) -> None:
        """Bring the map in line: with all KIngresses the first time, then by change.

        Args:
            changed: keys of KIngresses that are new, different or gone.
            compiled: all that there are.
        """
        for key in changed - compiled.keys():
            self._problems.pop(key, None)
        if self.is_known:
            # Who has waited for a host that is free now must be looked at too.
            changed = changed | (self._blocked & compiled.keys())
            before = self._withdraw(changed)
        else:
            before, changed = dict(self._plane.route_entries), set(compiled)
            self._served, self._owners = {}, {}
            self.is_known = True
        self._blocked -= changed
        wanted: dict[str, str] = {}
        for key in sorted(changed & compiled.keys(), key=lambda key: (compiled[key].created, key)):
            wanted |= self._serve(key, compiled[key])
        self._plane.set_routes(before, wanted)

    def _withdraw(self, changed: set[Key]) -> dict[str, str]:
        before: dict[str, str] = {}
        for key in changed:
            before |= self._served.pop(key, {})
            self._plane.certificates.withdraw(key)
        for host in before:
            self._owners.pop(host, None)
        return before

    def _serve(self, key: Key, compiled: Compiled) -> dict[str, str]:
        entries = self._entries(key, compiled)
        self._served[key] = entries
        self._owners.update(dict.fromkeys(entries, key))
        if entries:
            self._plane.certificates.serve(key, compiled.public_hosts, compiled.secrets)
        return entries

    def _entries(self, key: Key, compiled: Compiled) -> dict[str, str]:
        """The map's entries of one KIngress, none if it cannot be served."""
        self._problems[key] = compiled.problem
        if compiled.problem:
            return {}
        try:
            entries = routes.entries(
                compiled.routes,
                self._slot_of,
                name=str(key),
                has_https=self._plane.certificates.is_on,
            )
        except RouteError as error:
            self._problems[key] = str(error)
            return {}
        for entry in entries:
            owner = self._owners.get(entry, key)
            if owner != key:
                host = entry.partition("|")[0]
                self._problems[key] = f"host {host} is served for {owner} already"
                self._blocked.add(key)
                return {}
        return entries
