"""The door for Knative's ConfigMaps: a value that cannot be used is refused when it is written.

Without it a typing error would only be found in a log, while the former settings stay in force.
"""

from __future__ import annotations

import zlib

from tidegate.apis.settings import CONFIG_MAPS, NAMESPACE, SettingError, Settings
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object, annotations_of, is_deleting, name_of, namespace_of

_DENIED = (
    'admission webhook "config.webhook.serving.knative.dev" denied the request: '
    "validation failed: {}"
)
_EXAMPLE = "_example"
_CHECKSUM_ANNOTATION = "knative.dev/example-checksum"


def admit_config_map(new: Object, old: Object | None, user: str) -> Object:  # noqa: ARG001 - Admit
    """Any ConfigMap; only those of Knative are looked at. Raises BadRequest."""
    known = namespace_of(new) == NAMESPACE and new["metadata"].get("name") in CONFIG_MAPS
    if not known or is_deleting(new):
        return new
    data: dict[str, str] = new.get("data") or {}
    _check_example(new, data)
    try:
        Settings().with_config_map(name_of(new), data)
    except SettingError as error:
        raise BadRequest(_DENIED.format(error.__cause__)) from error
    return new


def _check_example(config_map: Object, data: dict[str, str]) -> None:
    """Who edits the example meant to edit a setting."""
    expected = annotations_of(config_map).get(_CHECKSUM_ANNOTATION)
    if expected is None or _EXAMPLE not in data:
        return
    if f"{zlib.crc32(data[_EXAMPLE].strip().encode()):08x}" != expected:
        raise BadRequest(
            _DENIED.format(
                f'the update modifies a key in "{_EXAMPLE}" which is probably not what you want. '
                "Instead, copy the respective setting to the top-level of the ConfigMap, "
                'directly below "data"'
            )
        )
