"""What a pod is given of priority and tolerations, as by Kubernetes' admission plugins Priority and
DefaultTolerationSeconds.

There are the two classes that every cluster has; pods of others, which are no objects here, get the
priority 0.
"""

from __future__ import annotations

from tidegate.apiserver.refusals import forbidden
from tidegate.apiserver.values import objects
from tidegate.kube.objects import Object, name_of
from tidegate.kube.resources import PODS

_CLASSES = {
    "": 0,
    "system-cluster-critical": 2_000_000_000,
    "system-node-critical": 2_000_001_000,
}
_POLICY = "PreemptLowerPriority"
_SECONDS = 300
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def default_priority(spec: Object) -> None:
    """Complete `priority` and `preemptionPolicy`, in place."""
    spec.setdefault("priority", _CLASSES.get(spec.get("priorityClassName") or "", 0))
    spec.setdefault("preemptionPolicy", _POLICY)


def check_priority(pod: Object) -> None:
    """Refuse a new pod that asks for what only its class can give it.

    Raises:
        Forbidden: its priority is another than that of its class.
    """
    spec = pod["spec"]
    priority = _CLASSES.get(spec.get("priorityClassName") or "")
    if priority is None:
        return
    for kind, asked, given in (
        ("integer value of priority", spec["priority"], priority),
        ("string value of PreemptionPolicy", spec["preemptionPolicy"], _POLICY),
    ):
        if asked != given:
            raise forbidden(
                PODS,
                name_of(pod),
                f"the {kind} ({asked}) must not be provided in pod spec; priority admission"
                f" controller computed {given} from the given PriorityClass name",
            )


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
