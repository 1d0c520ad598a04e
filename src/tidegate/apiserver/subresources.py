"""The subresources that act on one kind: pods/binding, pods/eviction and namespaces/finalize."""

from __future__ import annotations

from tidegate.apiserver.options import DeleteOptions
from tidegate.apiserver.refusals import conflict
from tidegate.apiserver.values import section, strings
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object, conditions_of, name_of, with_condition
from tidegate.kube.resources import PODS


def bind_pod(pod: Object, binding: Object, *, now: str) -> Object:
    """The pod, assigned to the node that the Binding names.

    Raises:
        BadRequest: the Binding names no node.
        Conflict: the pod is assigned already.
    """
    node = section(binding, "target").get("name")
    if not node:
        raise BadRequest("target.name: Required value: the node to bind the pod to")
    assigned = section(pod, "spec").get("nodeName")
    if assigned:
        raise conflict(PODS, name_of(pod), f"pod {name_of(pod)} is already assigned to {assigned}")
    scheduled = {"type": "PodScheduled", "status": "True"}
    status: Object = pod.get("status") or {}
    conditions = with_condition(conditions_of(pod), scheduled, now=now)
    return {
        **pod,
        "metadata": dict(pod["metadata"]),
        "spec": {**section(pod, "spec"), "nodeName": node},
        "status": {**status, "conditions": conditions},
    }


def eviction_options(eviction: Object) -> DeleteOptions:
    """How the pod that an Eviction is posted to is to be deleted.

    Raises:
        BadRequest: the grace period is no number.
    """
    options = section(eviction, "deleteOptions")
    grace = options.get("gracePeriodSeconds")
    if grace is not None and type(grace) is not int:
        raise BadRequest("deleteOptions.gracePeriodSeconds: must be an integer")
    preconditions = section(options, "preconditions")
    return DeleteOptions(
        grace_period_seconds=grace,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )


def finalize_namespace(sent: Object, namespace: Object) -> Object:
    """The namespace with the `spec.finalizers` that were sent."""
    finalizers = strings(section(sent, "spec").get("finalizers"))
    spec = {**section(namespace, "spec"), "finalizers": finalizers}
    if not finalizers:
        del spec["finalizers"]
    return {**namespace, "metadata": dict(namespace["metadata"]), "spec": spec}
