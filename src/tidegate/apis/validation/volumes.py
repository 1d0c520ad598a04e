"""Checks of a revision's volumes."""

from __future__ import annotations

from tidegate.apis.field_errors import FieldErrors
from tidegate.apis.fields import items, part
from tidegate.apis.names import is_dns1123_label
from tidegate.apis.settings import Settings
from tidegate.kube.objects import Object
from tidegate.kube.quantities import parse_quantity

_ALWAYS = ("secret", "configMap", "projected")
_GATED = {
    "hostPath": "kubernetes.podspec-volumes-hostpath",
    "csi": "kubernetes.podspec-volumes-csi",
    "ephemeral": "kubernetes.podspec-volumes-ephemeral",
    "image": "kubernetes.podspec-volumes-image",
}
_PROJECTIONS = ("secret", "configMap", "serviceAccountToken", "downwardAPI")


def validate_volumes(
    volumes: list[Object], mounted: set[str], settings: Settings, errors: FieldErrors
) -> dict[str, Object]:
    """All volumes; returns them by name."""
    by_name: dict[str, Object] = {}
    for index, volume in enumerate(volumes):
        place = errors.at("volumes", index)
        name = volume.get("name") or ""
        if name in by_name:
            place.add(f'duplicate volume name "{name}"', "name")
        if name not in mounted:
            place.add(f'volume with name "{name}" not mounted', "name")
        if not name:
            place.missing("name")
        elif not is_dns1123_label(name):
            place.invalid(name, "name")
        _validate_source(volume, settings, place)
        by_name[name] = volume
    return by_name


def _validate_source(volume: Object, settings: Settings, errors: FieldErrors) -> None:
    features = settings.features
    empty_dir = features.is_enabled("kubernetes.podspec-volumes-emptydir")
    claims = features.is_enabled("kubernetes.podspec-persistent-volume-claim")
    if volume.get("emptyDir") is not None and not empty_dir:
        errors.add(
            f"EmptyDir volume support is disabled, but found EmptyDir volume {volume.get('name')}",
            "",
        )
    _validate_claim(volume.get("persistentVolumeClaim"), settings, errors)
    errors_of_gate = [
        name
        for name, flag in _GATED.items()
        if volume.get(name) is not None and not features.is_allowed(flag)
    ]
    if errors_of_gate:
        errors.disallowed(*errors_of_gate)
    known = (*_ALWAYS, "emptyDir", "persistentVolumeClaim", *_GATED)
    given = [name for name in known if volume.get(name) is not None]
    offered = [*_ALWAYS, *(["emptyDir"] * empty_dir), *(["persistentVolumeClaim"] * claims)]
    if not given:
        errors.missing_one_of(*offered)
    elif len(given) > 1:
        errors.multiple_one_of(*given)
    _validate_contents(volume, errors)


def _validate_claim(claim: Object | None, settings: Settings, errors: FieldErrors) -> None:
    if claim is None:
        return
    name = claim.get("claimName") or ""
    if not settings.features.is_enabled("kubernetes.podspec-persistent-volume-claim"):
        errors.add(
            "Persistent volume claim support is disabled, "
            f"but found persistent volume claim {name}",
            "",
        )
    writable = settings.features.is_enabled("kubernetes.podspec-persistent-volume-write")
    if not claim.get("readOnly") and not writable:
        errors.add(
            "Persistent volume write support is disabled, "
            f"but found persistent volume claim {name} that is not read-only",
            "",
        )


def _validate_contents(volume: Object, errors: FieldErrors) -> None:
    for source in ("secret", "configMap"):
        _validate_items(items(volume, source, "items"), errors)
    for index, projection in enumerate(items(volume, "projected", "sources")):
        _validate_projection(projection, errors.at("projected", index))
    _validate_empty_dir(part(volume, "emptyDir"), errors.at("emptyDir"))


def _validate_empty_dir(source: Object, errors: FieldErrors) -> None:
    medium = source.get("medium") or ""
    if medium not in ("", "Memory"):
        errors.invalid(medium, "medium")
    limit = source.get("sizeLimit")
    try:
        negative = limit is not None and parse_quantity(limit) < 0
    except ValueError:
        errors.invalid(limit, "sizeLimit", "must be a quantity, e.g. 500Mi or 1Gi")
        return
    if negative:
        errors.invalid(limit, "sizeLimit")


def _validate_projection(projection: Object, errors: FieldErrors) -> None:
    given = [name for name in _PROJECTIONS if projection.get(name) is not None]
    if not given:
        errors.missing_one_of(*_PROJECTIONS)
    elif len(given) > 1:
        errors.multiple_one_of(*given)
    for source in ("secret", "configMap"):
        reference: Object | None = projection.get(source)
        if reference is not None:
            if not reference.get("name"):
                errors.at(source).missing("name")
            _validate_items(items(reference, "items"), errors.at(source))
    token: Object | None = projection.get("serviceAccountToken")
    if token is not None and not token.get("path"):
        errors.at("serviceAccountToken").missing("path")
    for index, item in enumerate(items(projection, "downwardAPI", "items")):
        _validate_downward_item(item, errors.at("downwardAPI").at("items", index))


def _validate_downward_item(item: Object, errors: FieldErrors) -> None:
    sources = ("fieldRef", "resourceFieldRef")
    given = [name for name in sources if item.get(name) is not None]
    if not given:
        errors.missing_one_of(*sources)
    elif len(given) > 1:
        errors.add("Within a single item, cannot set both", *sources)
    if not item.get("path"):
        errors.missing("path")


def _validate_items(keys: list[Object], errors: FieldErrors) -> None:
    for index, item in enumerate(keys):
        for name in ("key", "path"):
            if not item.get(name):
                errors.at("items", index).missing(name)
