"""Checks of a traffic block."""

from __future__ import annotations

from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.names import dns1035_problems, qualified_name_problems
from tidegate.apis.traffic_rules import TRAFFIC_RULES_ANNOTATION, RuleError, parse_rules
from tidegate.kube.objects import Object, annotations_of


def validate_traffic(targets: list[Object], errors: FieldErrors, *, of_service: bool) -> None:
    """`spec.traffic` of a Service or of a Route on its own; `errors` is at the list."""
    tags: dict[str, int] = {}
    total = 0
    for index, target in enumerate(targets):
        place = errors.at("", index)
        _validate_target(target, place, of_service=of_service)
        total += target.get("percent") or 0
        tag = target.get("tag") or ""
        if not tag:
            continue
        problems = dns1035_problems(tag)
        if problems:
            errors.invalid(f"not a DNS 1035 label: [{' '.join(problems)}]", f"tag[{index}]")
        if tag in tags:
            paths = (f"[{index}].tag", f"[{tags[tag]}].tag")
            errors.add(f'Multiple definitions for "{tag}"', *paths)
        tags.setdefault(tag, index)
    if total != 100:
        errors.add(f"Traffic targets sum to {total}, want 100", "")


def validate_rules(obj: Object, targets: list[Object], errors: FieldErrors) -> None:
    """The rules for a gray release; `errors` is at the metadata, `targets` the traffic block."""
    text = annotations_of(obj).get(TRAFFIC_RULES_ANNOTATION, "")
    place = errors.at("annotations").at(TRAFFIC_RULES_ANNOTATION)
    try:
        rules = parse_rules(text)
    except RuleError as error:
        place.add(str(error), error.place)
        return
    tags = {target.get("tag") for target in targets}
    for index, rule in enumerate(rules):
        if rule.tag not in tags:
            place.at("", index).add(f'spec.traffic has no tag "{rule.tag}"', "tag")


def _validate_target(target: Object, errors: FieldErrors, *, of_service: bool) -> None:
    revision = target.get("revisionName") or ""
    configuration = target.get("configurationName") or ""
    latest = target.get("latestRevision")
    if latest is not None and bool(revision) == latest:
        errors.add(
            f'may not set revisionName "{revision}" when latestRevision is {str(latest).lower()}',
            "latestRevision",
        )
    if of_service and configuration:
        errors.disallowed("configurationName")
    elif revision and configuration:
        errors.multiple_one_of("revisionName", "configurationName")
    elif revision:
        _validate_name(revision, "revisionName", errors)
    elif configuration:
        _validate_name(configuration, "configurationName", errors)
    elif not of_service:
        errors.missing_one_of("revisionName", "configurationName")
    percent = target.get("percent")
    if percent is not None and not 0 <= percent <= 100:
        errors.out_of_bounds(percent, 0, 100, "percent")
    if target.get("url"):
        errors.disallowed("url")


def _validate_name(name: str, field: str, errors: FieldErrors) -> None:
    problems = qualified_name_problems(name)
    if problems:
        errors.invalid_key(name, field, ", ".join(problems))
