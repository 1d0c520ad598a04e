"""From a patch's media type to the function that applies it."""

from __future__ import annotations

from typing import Any

from tidegate.apiserver.patch.json_patch import json_patch
from tidegate.apiserver.patch.merge import merge_patch
from tidegate.apiserver.patch.strategic import strategic_merge
from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.values import mapping
from tidegate.kube.client import PatchType
from tidegate.kube.errors import BadRequest, UnsupportedMediaType
from tidegate.kube.objects import Object, thaw


def apply_patch(
    registry: Registry,
    spec: KindSpec,
    target: Object,
    patch: Any,
    patch_type: PatchType,
    *,
    subresource: str,
) -> Object:
    """The patched object, as a copy the caller owns; for all types but server-side apply.

    Raises:
        BadRequest, Invalid: the patch is malformed or does not fit.
        UnsupportedMediaType: the kind does not take patches of this type.
    """
    if patch_type is PatchType.JSON:
        result = json_patch(target, patch)
    elif not isinstance(patch, dict):
        raise BadRequest("error decoding patch: must be an object")
    elif patch_type is PatchType.MERGE or (
        patch_type is PatchType.STRATEGIC and subresource == "scale"
    ):
        result = merge_patch(target, patch)
    elif patch_type is PatchType.STRATEGIC and spec.strategic:
        result = strategic_merge(target, mapping(patch), registry.place(spec))  # pyright: ignore[reportUnknownArgumentType]
    else:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - {patch_type} is not supported for"
            f" {spec.resource.qualified}"
        )
    if not isinstance(result, dict):
        raise BadRequest("the patch does not leave an object")
    return thaw(result)
