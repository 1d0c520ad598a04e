"""What becomes of an object of ours on its way into the API: shape, defaults, rules.

Every function here is an `Admit` as `tidegate.apis.kinds` describes it. They read the cluster's
settings from `tidegate.apis.settings.ADMISSION`.
"""

from __future__ import annotations

from typing import Any, cast

from tidegate.apis import autoscaling, networking, serving
from tidegate.apis.defaults import (
    set_revision_defaults,
    set_service_defaults,
    set_template_defaults,
    set_traffic_defaults,
)
from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.fields import items, part
from tidegate.apis.names import domain_problems
from tidegate.apis.settings import ADMISSION, CLUSTER_LOCAL_DOMAIN, Settings
from tidegate.apis.structure import check_structure
from tidegate.apis.types import autoscaling as autoscaling_types
from tidegate.apis.types import networking as networking_types
from tidegate.apis.types import serving as serving_types
from tidegate.apis.types.base import Model
from tidegate.apis.validation.metadata import (
    validate_annotations,
    validate_authors,
    validate_labels,
    validate_name,
)
from tidegate.apis.validation.revisions import (
    validate_name_change,
    validate_revision_spec,
    validate_template,
    validate_unchanged,
)
from tidegate.apis.validation.traffic import validate_rules, validate_traffic
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object, annotations_of, is_deleting, owner_references_of
from tidegate.kube.resources import Resource

_DENIED = 'admission webhook "validation.webhook.{}" denied the request: validation failed: {}'

_CLUSTER_DOMAIN = CLUSTER_LOCAL_DOMAIN.removeprefix("svc.")

_SERVICE_LABELS = (serving.SERVICE_UID_LABEL,)
_REVISION_LABELS = (
    serving.ROUTING_STATE_LABEL,
    serving.ROUTE_LABEL,
    serving.SERVICE_LABEL,
    serving.SERVICE_UID_LABEL,
    serving.CONFIGURATION_UID_LABEL,
    serving.CONFIGURATION_GENERATION_LABEL,
)


def admit_service(new: Object, old: Object | None, user: str) -> Object:
    """A Knative Service."""
    obj, errors, settings = _begin(new, serving_types.Service, serving.SERVICES)
    spec: Object = obj.setdefault("spec", {})
    set_service_defaults(
        spec, settings, obj["metadata"], template=not _keeps_named_template(obj, old)
    )
    _set_authors(obj, old, user)
    metadata = errors.at("metadata")
    validate_name(obj, metadata)
    validate_annotations(obj, metadata)
    validate_labels(obj, (), {}, metadata)
    template = errors.at("spec").at("template")
    validate_template(spec["template"], obj, settings, template)
    validate_traffic(spec["traffic"], errors.at("spec").at("traffic"), of_service=True)
    validate_rules(obj, spec["traffic"], metadata)
    if old is not None:
        validate_authors(obj, old, metadata)
        validate_name_change(spec["template"], _template(old), template)
    return _end(obj, errors)


def admit_configuration(new: Object, old: Object | None, user: str) -> Object:
    """A Configuration, of a Service or on its own."""
    obj, errors, settings = _begin(new, serving_types.Configuration, serving.CONFIGURATIONS)
    spec: Object = obj.setdefault("spec", {})
    if not _keeps_named_template(obj, old):
        set_template_defaults(spec, settings, obj["metadata"])
    owned = bool(owner_references_of(obj))
    if not owned:
        _set_authors(obj, old, user)
    metadata = errors.at("metadata")
    validate_name(obj, metadata)
    validate_annotations(obj, metadata)
    owners = {serving.SERVICE_LABEL: "Service"}
    validate_labels(obj, _SERVICE_LABELS, owners, metadata)
    template = errors.at("spec").at("template")
    validate_template(spec["template"], obj, settings, template)
    if old is not None:
        if not owned:
            validate_authors(obj, old, metadata)
        validate_name_change(spec["template"], _template(old), template)
    return _end(obj, errors)


def admit_revision(new: Object, old: Object | None, user: str) -> Object:  # noqa: ARG001 - Admit
    """A Revision; its spec never changes."""
    obj, errors, settings = _begin(new, serving_types.Revision, serving.REVISIONS)
    spec: Object = obj.setdefault("spec", {})
    metadata = errors.at("metadata")
    owners = {serving.CONFIGURATION_LABEL: "Configuration"}
    validate_labels(obj, _REVISION_LABELS, owners, metadata)
    if old is not None:
        validate_unchanged(obj, old, errors)
    else:
        set_revision_defaults(spec, settings, obj["metadata"])
        validate_name(obj, metadata)
        validate_revision_spec(spec, settings, errors.at("spec"))
    return _end(obj, errors)


def admit_route(new: Object, old: Object | None, user: str) -> Object:
    """A Route, of a Service or on its own."""
    obj, errors, _ = _begin(new, serving_types.Route, serving.ROUTES)
    spec: Object = obj.setdefault("spec", {})
    owned = bool(owner_references_of(obj))
    set_traffic_defaults(spec)
    if not owned:
        _set_authors(obj, old, user)
    metadata = errors.at("metadata")
    validate_name(obj, metadata)
    validate_annotations(obj, metadata)
    owners = {serving.SERVICE_LABEL: "Service"}
    validate_labels(obj, _SERVICE_LABELS, owners, metadata)
    targets = items(obj, "spec", "traffic")
    validate_traffic(targets, errors.at("spec").at("traffic"), of_service=False)
    validate_rules(obj, targets, metadata)
    if old is not None and not owned:
        validate_authors(obj, old, metadata)
    return _end(obj, errors)


def admit_domain_mapping(new: Object, old: Object | None, user: str) -> Object:
    """A DomainMapping; its name is the domain."""
    obj, errors, settings = _begin(new, serving_types.DomainMapping, serving.DOMAIN_MAPPINGS)
    reference: Object = obj.setdefault("spec", {}).setdefault("ref", {})
    if reference.get("kind") == serving.SERVICES.kind:
        reference.setdefault("apiVersion", serving.SERVICES.api_version)
    if reference:
        reference.setdefault("namespace", obj["metadata"].get("namespace", ""))
    _set_authors(obj, old, user)
    _validate_domain(obj, settings, errors.at("metadata"))
    _validate_reference(obj, reference, errors.at("spec").at("ref"))
    if old is not None:
        validate_authors(obj, old, errors.at("metadata"))
    return _end(obj, errors)


def admit_pod_autoscaler(new: Object, old: Object | None, user: str) -> Object:  # noqa: ARG001
    """A PodAutoscaler."""
    obj, errors, _ = _begin(new, autoscaling_types.PodAutoscaler, autoscaling.POD_AUTOSCALERS)
    spec = part(obj, "spec")
    target = part(spec, "scaleTargetRef")
    absent = [name for name in ("apiVersion", "kind", "name") if not target.get(name)]
    if absent:
        errors.at("spec").at("scaleTargetRef").missing(*absent)
    concurrency = spec.get("containerConcurrency") or 0
    if concurrency < 0:
        errors.at("spec").out_of_bounds(concurrency, 0, 1000, "containerConcurrency")
    reachability = spec.get("reachability") or ""
    if reachability not in ("", "Reachable", "Unreachable"):
        errors.at("spec").invalid(reachability, "reachability")
    return _end(obj, errors)


def admit_ingress(new: Object, old: Object | None, user: str) -> Object:  # noqa: ARG001 - Admit
    """What a Route asks of the gateways."""
    obj, errors, _ = _begin(new, networking_types.Ingress, networking.INGRESSES)
    rules = items(obj, "spec", "rules")
    place = errors.at("spec")
    if not rules:
        place.missing("rules")
    for index, rule in enumerate(rules):
        _validate_rule(rule, place.at("rules", index))
    return _end(obj, errors)


def admit_domain_claim(new: Object, old: Object | None, user: str) -> Object:  # noqa: ARG001
    """A ClusterDomainClaim."""
    obj, errors, _ = _begin(
        new, networking_types.ClusterDomainClaim, networking.CLUSTER_DOMAIN_CLAIMS
    )
    if not part(obj, "spec").get("namespace"):
        errors.at("spec").missing("namespace")
    return _end(obj, errors, group=networking.GROUP)


def _begin(
    new: Object, model: type[Model], resource: Resource
) -> tuple[Object, FieldErrors, Settings]:
    obj: Object = without_nulls(new)
    errors = FieldErrors()
    disallowed = check_structure(obj, model, resource)
    if disallowed:
        errors.disallowed(*disallowed)
        raise _denied(errors, serving.GROUP)
    return obj, errors, ADMISSION.current


def _end(obj: Object, errors: FieldErrors, *, group: str = serving.GROUP) -> Object:
    # What is on its way out must not be kept from it by rules that came after it.
    if errors and not is_deleting(obj):
        raise _denied(errors, group)
    return obj


def _denied(errors: FieldErrors, group: str) -> BadRequest:
    return BadRequest(_DENIED.format(group, errors), causes=errors.causes())


def without_nulls(value: Any) -> Any:
    """A deep copy without null fields, which Kubernetes takes as missing."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {key: without_nulls(item) for key, item in pairs if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in cast("list[Any]", value)]
    return value


def _template(obj: Object) -> Object:
    return part(obj, "spec", "template")


def _keeps_named_template(new: Object, old: Object | None) -> bool:
    """Whether the template names the same Revision as before.

    Its defaults must then stay what they were, or new cluster defaults would count as a change.
    """
    if old is None:
        return False
    name = part(new, "spec", "template", "metadata").get("name")
    return bool(name) and name == part(old, "spec", "template", "metadata").get("name")


def _set_authors(obj: Object, old: Object | None, user: str) -> None:
    annotations: dict[str, str] = obj["metadata"].setdefault("annotations", {})
    if old is None:
        annotations[serving.CREATOR_ANNOTATION] = user
        annotations[serving.LAST_MODIFIER_ANNOTATION] = user
        return
    for key in (serving.CREATOR_ANNOTATION, serving.LAST_MODIFIER_ANNOTATION):
        if key in annotations_of(old):
            annotations.setdefault(key, annotations_of(old)[key])
    if obj.get("spec") != old.get("spec"):
        annotations[serving.LAST_MODIFIER_ANNOTATION] = user


def _validate_domain(obj: Object, settings: Settings, errors: FieldErrors) -> None:
    metadata = obj["metadata"]
    if metadata.get("generateName"):
        errors.disallowed("generateName")
    name = metadata.get("name") or ""
    problems = domain_problems(name)
    if name in {domain.name for domain in settings.domains}:
        problems.append("must not be the same as a cluster domain")
    if name.endswith(f".{_CLUSTER_DOMAIN}"):
        problems.append(f'must not be a subdomain of cluster local domain "{_CLUSTER_DOMAIN}"')
    for problem in problems:
        errors.add(f'invalid name "{name}": {problem}', "name")


def _validate_reference(obj: Object, reference: Object, errors: FieldErrors) -> None:
    absent = [name for name in ("apiVersion", "kind", "name") if not reference.get(name)]
    if absent:
        errors.missing(*absent)
    namespace = obj["metadata"].get("namespace", "")
    if reference.get("namespace") and namespace and reference["namespace"] != namespace:
        errors.add(
            "mismatched namespaces",
            "namespace",
            details=f'parent namespace: "{namespace}" does not match ref: '
            f'"{reference["namespace"]}"',
        )


def _validate_rule(rule: Object, errors: FieldErrors) -> None:
    if not rule.get("hosts"):
        errors.missing("hosts")
    paths = items(rule, "http", "paths")
    if not paths:
        errors.at("http").missing("paths")
    for index, path in enumerate(paths):
        place = errors.at("http").at("paths", index)
        splits = items(path, "splits")
        if not splits:
            place.missing("splits")
            continue
        total = sum(split.get("percent") or 0 for split in splits)
        if total not in (0, 100) or (total == 0 and len(splits) > 1):
            place.add(f"Traffic split percentage must total to 100, but was {total}", "splits")
