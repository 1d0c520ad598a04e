"""From a traffic block to Revisions and percents: pure, without any API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tidegate.apis import serving
from tidegate.apis.fields import part
from tidegate.kube.objects import Object, labels_of, name_of
from tidegate.serving.conditions import Verdict, false, unknown, verdict_of

Lookup = Callable[[str], "Object | None"]


@dataclass(frozen=True)
class Target:
    """A share of a Route's traffic.

    Attributes:
        revision: where it goes.
        percent: of the whole Route.
        latest: whether it follows its Configuration's latest ready Revision.
        tag: the tag it is also reached by, or empty.
        configuration: of the Revision.
    """

    revision: str
    percent: int
    latest: bool
    tag: str = ""
    configuration: str = ""


class BadTargetError(Exception):
    """A target that cannot take traffic (yet); `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


def resolve(
    traffic: Sequence[Object], *, configuration: Lookup, revision: Lookup, service: str = ""
) -> tuple[Target, ...]:
    """The Revisions that a traffic block means now, in its order, equal ones joined.

    Args:
        traffic: `spec.traffic` of a Route.
        configuration: finds a Configuration by name.
        revision: finds a Revision by name.
        service: the Service that owns the Route; its named Revisions must be of it too.

    Raises:
        BadTargetError: a target is missing, another's or not ready; failures before delays.
    """
    targets: list[Target] = []
    problems: list[Verdict] = []
    for entry in traffic:
        try:
            _join(targets, _target(entry, configuration, revision, service))
        except BadTargetError as error:
            problems.append(error.verdict)
    if problems:
        raise BadTargetError(next((p for p in problems if p.status == "False"), problems[0]))
    return tuple(targets)


def groups(targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
    """What each tag splits among; "" is the Route itself. Percents of each group sum to 100."""
    result: dict[str, tuple[Target, ...]] = {"": tuple(replace(t, tag="") for t in targets)}
    for target in targets:
        if target.tag:
            result[target.tag] = (replace(target, percent=100),)
    return result


def consolidate(members: Sequence[Target]) -> tuple[Target, ...]:
    """One entry per Revision that gets something, in order of first appearance."""
    merged: dict[str, Target] = {}
    for target in members:
        known = merged.get(target.revision)
        if known is not None:
            latest = known.latest or target.latest
            percent = known.percent + target.percent
            merged[target.revision] = replace(known, percent=percent, latest=latest)
        elif target.percent > 0:
            merged[target.revision] = target
    return tuple(merged.values())


def _target(entry: Object, configuration: Lookup, revision: Lookup, service: str) -> Target:
    name = entry.get("revisionName")
    owner = entry.get("configurationName") or ""
    if name:
        found = _named(name, revision, service)
        owner = labels_of(found).get(serving.CONFIGURATION_LABEL, "")
    else:
        found = _latest(owner, configuration, revision)
    return Target(
        name_of(found), entry.get("percent") or 0, not name, entry.get("tag") or "", owner
    )


def _named(name: str, revision: Lookup, service: str) -> Object:
    found = revision(name)
    if found is None:
        message = f'Revision "{name}" referenced in traffic not found.'
        raise BadTargetError(false("RevisionMissing", message))
    if service and labels_of(found).get(serving.SERVICE_LABEL) != service:
        message = f'Revision "{name}" is not owned by Service "{service}".'
        raise BadTargetError(false("RevisionNotOwned", message))
    status = verdict_of(found, "Ready").status
    if status == "False":
        message = f'Revision "{name}" failed to become ready.'
        raise BadTargetError(false("RevisionMissing", message))
    if status == "Unknown":
        raise BadTargetError(unknown("RevisionMissing", f'Revision "{name}" is not yet ready.'))
    return found


def _latest(name: str, configuration: Lookup, revision: Lookup) -> Object:
    owner = configuration(name)
    if owner is None:
        message = f'Configuration "{name}" referenced in traffic not found.'
        raise BadTargetError(false("ConfigurationMissing", message))
    ready = part(owner, "status").get("latestReadyRevisionName")
    if not ready:
        if verdict_of(owner, "Ready").status == "False":
            message = f'Configuration "{name}" does not have any ready Revision.'
            raise BadTargetError(false("RevisionMissing", message))
        message = f'Configuration "{name}" is waiting for a Revision to become ready.'
        raise BadTargetError(unknown("RevisionMissing", message))
    found = revision(ready)
    if found is None:
        message = f'Revision "{ready}" referenced in traffic not found.'
        raise BadTargetError(false("RevisionMissing", message))
    return found


def _join(targets: list[Target], new: Target) -> None:
    for index, known in enumerate(targets):
        if (known.tag, known.revision, known.latest) == (new.tag, new.revision, new.latest):
            targets[index] = replace(known, percent=known.percent + new.percent)
            return
    targets.append(new)
