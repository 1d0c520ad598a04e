"""Checks of labels, annotations and names of the serving kinds."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tidegate.apis import networking, serving
from tidegate.apis.autoscaling import ANNOTATION_GROUP
from tidegate.apis.durations import parse_duration
from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.names import dns1035_problems
from tidegate.kube.objects import Object, annotations_of, labels_of, owner_references_of

_NETWORKING_KEYS = frozenset(
    f"{networking.PUBLIC_GROUP}/{name}"
    for name in (
        "ingress-class",
        "ingress.class",
        "certificate-class",
        "certificate.class",
        "certificate-type",
        "disable-auto-tls",
        "disableAutoTLS",
        "disable-external-domain-tls",
        "http-protocol",
        "httpOption",
        "httpProtocol",
        "visibility",
        "wildcardDomain",
        "trust-bundle",
    )
)


def validate_name(obj: Object, errors: FieldErrors) -> None:
    """The name becomes part of host names, so it must be a DNS label that begins with a letter."""
    metadata = obj["metadata"]
    name = metadata.get("name") or metadata.get("generateName") or ""
    problems = dns1035_problems(name.rstrip("-") if not metadata.get("name") else name)
    if problems:
        errors.add(f"not a DNS 1035 label: [{' '.join(problems)}]", "name")


def validate_annotations(obj: Object, errors: FieldErrors) -> None:
    """Annotations of a Service, Configuration or Route."""
    place = errors.at("annotations")
    annotations = annotations_of(obj)
    for key in annotations:
        if key.startswith(ANNOTATION_GROUP):
            hint = (
                'autoscaling annotations must be put under "spec.template.metadata.annotations" '
                "to work"
            )
            place.invalid_key(key, details=hint)
        elif key.startswith(f"{networking.PUBLIC_GROUP}/") and key not in _NETWORKING_KEYS:
            place.invalid_key(key)
    for key in serving.ROLLOUT_DURATION_ANNOTATIONS:
        validate_duration(annotations, key, place, name="rollout-duration")


def validate_duration(
    annotations: Mapping[str, str], key: str, errors: FieldErrors, *, name: str
) -> None:
    """An annotation of Knative's own group that is whole seconds, if it is there at all."""
    text = annotations.get(key)
    if not text:
        return
    try:
        seconds = parse_duration(text)
    except ValueError:
        errors.invalid(text, key)
        return
    if seconds.denominator != 1:
        errors.add(f"{name}={text} is not at second precision", key)
    elif seconds < 0:
        errors.add(f"{name}={text} must be positive", key)


def validate_labels(
    obj: Object, allowed: Collection[str], owned: Mapping[str, str], errors: FieldErrors
) -> None:
    """Labels of Knative's own group: only known ones, and only true ones.

    Args:
        allowed: keys that may stand.
        owned: keys whose value must be the name of an owner of the given kind.
    """
    place = errors.at("labels")
    for key, value in labels_of(obj).items():
        if key == networking.VISIBILITY_LABEL:
            if value != "cluster-local":
                place.invalid(value, key)
        elif key in owned:
            _validate_owner(obj, key, value, owned[key], place)
        elif key.startswith(f"{serving.GROUP}/") and key not in allowed:
            place.invalid_key(key)


def _validate_owner(obj: Object, key: str, value: str, kind: str, errors: FieldErrors) -> None:
    owners = owner_references_of(obj)
    if not any(owner["kind"] == kind and owner["name"] == value for owner in owners):
        errors.missing(key)


def validate_authors(new: Object, old: Object, errors: FieldErrors) -> None:
    """Creator and last modifier are the API's to write; their old values must stand."""
    place = errors.at("annotations")
    before, after = annotations_of(old), annotations_of(new)
    if after.get(serving.CREATOR_ANNOTATION) != before.get(serving.CREATOR_ANNOTATION):
        place.add("annotation value is immutable", serving.CREATOR_ANNOTATION)
    key = serving.LAST_MODIFIER_ANNOTATION
    if new.get("spec") == old.get("spec") and after.get(key) != before.get(key):
        place.invalid(after.get(key, ""), key)
