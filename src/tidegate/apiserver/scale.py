"""The scale subresource: an object's replicas as an `autoscaling/v1` Scale."""

from __future__ import annotations

from typing import Any, cast

from tidegate.apiserver.registry.spec import ScaleSpec
from tidegate.apiserver.values import at, objects, section
from tidegate.kube.errors import BadRequest, Cause, Invalid
from tidegate.kube.objects import Object
from tidegate.kube.resources import Resource


def scale_of(scale: ScaleSpec, obj: Object) -> Object:
    """The Scale that stands for `obj`."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": at(obj, scale.status_replicas) or 0}
    selector = _selector_text(at(obj, scale.selector))
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": at(obj, scale.spec_replicas) or 0},
        "status": status,
    }


def with_scale(scale: ScaleSpec, obj: Object, wanted: Object) -> Object:
    """A copy of `obj` with the replicas that the Scale `wanted` asks for.

    Raises:
        BadRequest: it is no Scale.
        Invalid: the number is negative.
    """
    replicas = section(wanted, "spec").get("replicas", 0)
    if wanted.get("kind", "Scale") != "Scale" or type(replicas) is not int:
        raise BadRequest("the body must be a Scale with an integer spec.replicas")
    if replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise Invalid(
            f'Scale.autoscaling "{obj["metadata"]["name"]}" is invalid: spec.replicas: {message}',
            resource="Scale",
            group="autoscaling",
            name=obj["metadata"]["name"],
            causes=(Cause("FieldValueInvalid", message, "spec.replicas"),),
        )
    return _with(obj, scale.spec_replicas.split("."), replicas)


def applied_scale(resource: Resource, scale: ScaleSpec, wanted: Object) -> Object:
    """What of an object a Scale that is applied sets: its replicas, where it says how many.

    Raises:
        BadRequest: it is no Scale.
    """
    kind, version = wanted.get("kind"), wanted.get("apiVersion")
    replicas = section(wanted, "spec").get("replicas")
    if (kind, version) != ("Scale", "autoscaling/v1") or type(replicas) not in (int, type(None)):
        raise BadRequest("the body must be a Scale of autoscaling/v1 with an integer spec.replicas")
    config: Object = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": dict(section(wanted, "metadata")),
    }
    if replicas is None:
        return config
    return _with(config, scale.spec_replicas.split("."), replicas)


def _with(obj: Object, path: list[str], value: Any) -> Object:
    head, *rest = [part for part in path if part]
    return {**obj, head: _with(obj.get(head) or {}, rest, value) if rest else value}


def _selector_text(selector: Any) -> str:
    if isinstance(selector, str):
        return selector
    if not isinstance(selector, dict):
        return ""
    spec = cast("Object", selector)
    labels: dict[str, str] = spec.get("matchLabels") or {}
    terms = [f"{key}={value}" for key, value in sorted(labels.items())]
    terms.extend(map(_expression_text, objects(spec.get("matchExpressions"))))
    return ",".join(terms)


def _expression_text(expression: Object) -> str:
    key, operator = expression["key"], expression["operator"]
    if operator == "Exists":
        return str(key)
    if operator == "DoesNotExist":
        return f"!{key}"
    values = ",".join(sorted(expression.get("values") or []))
    return f"{key} {operator.lower()} ({values})"
