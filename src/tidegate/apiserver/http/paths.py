"""The URL grammar: from a path to the resource it names, and from a method to the verb."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tidegate.apiserver.refusals import no_such_method

_VERBS_ON_OBJECT = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_VERBS_ON_COLLECTION = {
    "GET": "list",
    "HEAD": "list",
    "POST": "create",
    "DELETE": "deletecollection",
}


@dataclass(frozen=True)
class ResourcePath:
    """What a path under `/api/<version>` or `/apis/<group>/<version>` names.

    Attributes:
        namespace: empty for cluster-scoped resources and for all namespaces.
        name: empty for a collection.
        rest: segments after the subresource, as in `proxy/a/b`.
        watch: the path itself asks for a watch, as in `/api/v1/watch/pods`.
    """

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: tuple[str, ...] = ()
    watch: bool = False


@lru_cache(maxsize=4096)
def parse_resource_path(path: str) -> ResourcePath | None:
    """The resource a path names; None for discovery and everything outside of resources."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        return _below_version("", parts[1], parts[2:])
    if parts[0] == "apis" and len(parts) > 3:
        return _below_version(parts[1], parts[2], parts[3:])
    return None


def verb_of(method: str, target: ResourcePath, *, watch: bool) -> str:
    """The API verb of a request.

    Raises:
        MethodNotAllowed: the method means nothing here.
    """
    if target.watch and method not in ("GET", "HEAD"):
        raise no_such_method()
    verbs = _VERBS_ON_OBJECT if target.name else _VERBS_ON_COLLECTION
    verb = verbs.get(method)
    if verb is None or (verb == "create" and target.name and not target.subresource):
        raise no_such_method()
    return "watch" if watch and verb in ("list", "get") else verb


def _below_version(group: str, version: str, parts: list[str]) -> ResourcePath:
    namespace, watch = "", parts[0] == "watch" and len(parts) > 1
    if watch:
        parts = parts[1:]
    # `/namespaces/x` and its two subresources are the Namespace itself, all else is inside it.
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    return ResourcePath(
        group=group,
        version=version,
        plural=parts[0],
        namespace=namespace,
        name=parts[1] if len(parts) > 1 else "",
        subresource=parts[2] if len(parts) > 2 else "",
        rest=tuple(parts[3:]),
        watch=watch,
    )
