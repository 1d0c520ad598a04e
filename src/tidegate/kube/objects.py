"""Reading and building Kubernetes objects, which are plain dictionaries everywhere in Tidegate.

Objects that come from a client, an informer or the store are shared and must not be changed:
`thaw` gives a copy that may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

Object: TypeAlias = dict[str, Any]


class Key(NamedTuple):
    """Names one object of a known resource; `namespace` is empty for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Object) -> Key:
    """The key of any object."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace", ""), metadata["name"])


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def resource_version_of(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def labels_of(obj: Object) -> Mapping[str, str]:
    """The labels, empty where there are none; not to be changed."""
    return cast("Mapping[str, str]", obj["metadata"].get("labels") or {})


def annotations_of(obj: Object) -> Mapping[str, str]:
    """The annotations, empty where there are none; not to be changed."""
    return cast("Mapping[str, str]", obj["metadata"].get("annotations") or {})


def is_deleting(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def thaw(value: Any) -> Any:
    """A deep copy of JSON data that the caller may change."""
    if isinstance(value, dict):
        return {k: thaw(v) for k, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [thaw(v) for v in cast("list[Any]", value)]
    return value


def owner_reference(owner: Object, *, controller: bool = True) -> Object:
    """The `ownerReferences` entry that makes the garbage collector delete with `owner`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": controller,
        "blockOwnerDeletion": True,
    }


def owner_references_of(obj: Object) -> list[Object]:
    return cast("list[Object]", obj["metadata"].get("ownerReferences") or [])


def controller_of(obj: Object) -> Object | None:
    """The owner reference marked `controller`, if any."""
    for reference in owner_references_of(obj):
        if reference.get("controller"):
            return reference
    return None


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def spec_of(obj: Object) -> Mapping[str, Any]:
    """The spec, empty where there is none; not to be changed."""
    return cast("Mapping[str, Any]", obj.get("spec") or {})


def status_of(obj: Object) -> Mapping[str, Any]:
    """The status, empty where there is none; not to be changed."""
    return cast("Mapping[str, Any]", obj.get("status") or {})


def conditions_of(obj: Object) -> list[Object]:
    return cast("list[Object]", status_of(obj).get("conditions") or [])


def condition_of(obj: Object, condition_type: str) -> Object | None:
    """The status condition of that type, if present."""
    for condition in conditions_of(obj):
        if condition.get("type") == condition_type:
            return condition
    return None


def is_condition_true(obj: Object, condition_type: str) -> bool:
    condition = condition_of(obj, condition_type)
    return condition is not None and condition.get("status") == "True"


def with_condition(conditions: Iterable[Object], new: Object, *, now: str) -> list[Object]:
    """`conditions` with `new` put in by type; `lastTransitionTime` moves only with the status.

    Args:
        new: `{type, status, reason?, message?, severity?}`.
        now: RFC 3339 time of this write.
    """
    result: list[Object] = []
    placed = False
    for condition in conditions:
        if condition.get("type") != new["type"]:
            result.append(condition)
            continue
        same = condition.get("status") == new["status"]
        changed_at = condition.get("lastTransitionTime", now) if same else now
        result.append({**new, "lastTransitionTime": changed_at})
        placed = True
    if not placed:
        result.append({**new, "lastTransitionTime": now})
    return result
