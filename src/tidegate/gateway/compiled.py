"""What one KIngress asks of the gateway, read once per change of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.gateway import reading, routes
from tidegate.gateway.model import Affinity, HostRoute
from tidegate.gateway.routes import RouteError
from tidegate.kube.objects import Key, Object


@dataclass
class Compiled:
    """Routes, certificates and affinity of a KIngress; `problem` says why it cannot be served."""

    created: str
    generation: int
    routes: list[HostRoute] = field(default_factory=list[HostRoute])
    secrets: dict[str, Key] = field(default_factory=dict[str, Key])
    affinity: Affinity | None = None
    problem: str = ""

    @property
    def revisions(self) -> set[Key]:
        whole = {split.revision for route in self.routes for split in route.splits}
        paths = [path for route in self.routes for path in route.paths]
        return whole | {split.revision for path in paths for split in path.splits}

    @property
    def public_hosts(self) -> set[str]:
        return {route.host for route in self.routes if not route.is_local}


def compile_ingress(obj: Object) -> Compiled:
    """Read a KIngress; what cannot be served is named in `problem`, never raised."""
    metadata = obj["metadata"]
    compiled = Compiled(
        created=str(metadata.get("creationTimestamp", "")),
        generation=int(metadata.get("generation") or 0),
        affinity=reading.affinity_of(obj),
    )
    try:
        compiled.secrets = routes.secrets(obj)
        compiled.routes = routes.host_routes(obj)
    except RouteError as error:
        compiled.problem = str(error)
    return compiled
