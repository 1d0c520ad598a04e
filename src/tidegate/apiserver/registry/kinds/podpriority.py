"""What a pod is given of priority and tolerations.

As by Kubernetes' admission plugins Priority and DefaultTolerationSeconds.
"""

from __future__ import annotations

from tidegate.apiserver.refusals import forbidden
from tidegate.apiserver.registry.kinds.priorityclasses import PREEMPTS, default_class
from tidegate.apiserver.registry.spec import ClusterView
from tidegate.apiserver.values import objects
from tidegate.kube.objects import Key, Object, name_of
from tidegate.kube.resources import PODS, PRIORITY_CLASSES

PRIORITY_FIELDS = ("priority", "preemptionPolicy")
_SECONDS = 300
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def give_priority(pod: Object, view: ClusterView) -> None:
    """Complete `priority` and `preemptionPolicy` of a new pod by its class, in place.

    Raises:
        Forbidden: there is no such class, or the pod asks for what only its class can give it.
    """
    spec = pod["spec"]
    given = _class_of(pod, view)
    if given is not None:
        spec["priorityClassName"] = name_of(given)
    priority = given["value"] if given else 0
    policy = given["preemptionPolicy"] if given else PREEMPTS
    for field, kind, value in (
        ("priority", "integer value of priority", priority),
        ("preemptionPolicy", "string value of PreemptionPolicy", policy),
    ):
        asked = spec.get(field)
        if asked is not None and asked != value:
            raise forbidden(
                PODS,
                name_of(pod),
                f"the {kind} ({asked}) must not be provided in pod spec; priority admission"
                f" controller computed {value} from the given PriorityClass name",
            )
        spec[field] = value


def keep_priority(pod: Object, old: Object) -> None:
    """Give a changed pod what it was given when it was new, in place."""
    for field in PRIORITY_FIELDS:
        if field in old["spec"]:
            pod["spec"].setdefault(field, old["spec"][field])


def _class_of(pod: Object, view: ClusterView) -> Object | None:
    name = pod["spec"].get("priorityClassName")
    if not name:
        return default_class(view)
    found = view.find(PRIORITY_CLASSES, Key("", name))
    if found is None:
        raise forbidden(PODS, name_of(pod), f"no PriorityClass with name {name} was found")
    return found


def default_tolerations(spec: Object) -> None:
    """Let a pod stay for five minutes on a node that is gone, unless it says otherwise.

    Also when it is changed, for who applies a manifest again leaves them out again.
    """
    asked = objects(spec.get("tolerations"))
    missing = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
        for key in _TAINTS
        if not any(_covers(toleration, key) for toleration in asked)
    ]
    if missing:
        spec["tolerations"] = [*asked, *missing]


def _covers(toleration: Object, key: str) -> bool:
    effect = toleration.get("effect") or "NoExecute"
    return (toleration.get("key") or key) == key and effect == "NoExecute"
