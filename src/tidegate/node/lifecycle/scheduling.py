"""Whether the node may take a pod at all: cordon, taints, and the labels that the pod asks for."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.kube.objects import Object, labels_of, name_of
from tidegate.kube.selectors import Requirement, selector_from_map
from tidegate.kube.taints import NO_EXECUTE, NO_SCHEDULE, first_untolerated, taints_of
from tidegate.node.fields import part, parts

_CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": NO_SCHEDULE}


def refusal(pod: Object, node: Object) -> str:
    """Why the node may not take the pod, in the words of Kubernetes' scheduler; empty if it may.

    `PreferNoSchedule` and preferred affinities are no reason: there is no other node to prefer.
    """
    if part(node, "spec").get("unschedulable") and first_untolerated(pod, [_CORDON]):
        return "node(s) were unschedulable"
    taint = first_untolerated(pod, taints_of(node, NO_SCHEDULE, NO_EXECUTE))
    if taint is not None:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"
    if not _is_asked_for(pod["spec"], node):
        return "node(s) didn't match Pod's node affinity/selector"
    return ""


def _is_asked_for(spec: Object, node: Object) -> bool:
    if not selector_from_map(spec.get("nodeSelector")).matches(labels_of(node)):
        return False
    affinity = part(part(spec, "affinity"), "nodeAffinity")
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_matches(term, node) for term in parts(required, "nodeSelectorTerms"))


def _matches(term: Object, node: Object) -> bool:
    """Whether all that a term asks for holds; one that asks for nothing matches no node."""
    asked = (
        *((one, labels_of(node)) for one in parts(term, "matchExpressions")),
        *((one, {"metadata.name": name_of(node)}) for one in parts(term, "matchFields")),
    )
    return bool(asked) and all(_holds(one, values) for one, values in asked)


def _holds(asked: Object, values: Mapping[str, str]) -> bool:
    wanted = frozenset(map(str, asked.get("values") or ()))
    return Requirement(asked["key"], asked["operator"], wanted).matches(values)
