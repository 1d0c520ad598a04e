"""JSON patch, RFC 6902, with refusals in Kubernetes' shape."""

from __future__ import annotations

from typing import Any

import jsonpatch  # pyright: ignore[reportMissingTypeStubs]
import jsonpointer  # pyright: ignore[reportMissingTypeStubs]

from tidegate.apiserver.values import mapping
from tidegate.kube.errors import BadRequest, Invalid

_MAX_OPERATIONS = 10_000


def json_patch(target: Any, operations: Any) -> Any:
    """`target` with the operations applied in order; `target` is not changed.

    Raises:
        BadRequest: the patch is malformed.
        Invalid: it does not fit the object: a path is missing or a test fails.
    """
    if not isinstance(operations, list):
        raise BadRequest("error decoding patch: a JSON patch must be a list of operations")
    if len(operations) > _MAX_OPERATIONS:  # pyright: ignore[reportUnknownArgumentType]
        raise BadRequest(f"a JSON patch may have at most {_MAX_OPERATIONS} operations")
    try:
        return jsonpatch.JsonPatch(operations).apply(target)  # pyright: ignore
    except jsonpatch.JsonPatchConflict as error:
        raise Invalid(
            f"the server rejected our request due to an error in our request: {error}"
        ) from error
    except jsonpatch.JsonPatchTestFailed as error:
        raise Invalid(
            "the server rejected our request due to an error in our request: a test of the patch"
            " failed: the value there is another"
        ) from error
    except jsonpointer.JsonPointerException as error:
        if not _well_formed(operations):  # pyright: ignore[reportUnknownArgumentType]
            raise BadRequest(f"error decoding patch: {error}") from error
        raise Invalid(
            f"the server rejected our request due to an error in our request: {error}"
        ) from error
    except (jsonpatch.JsonPatchException, TypeError) as error:
        raise BadRequest(f"error decoding patch: {error}") from error


def _well_formed(operations: list[Any]) -> bool:
    """Whether all paths are JSON pointers."""
    pointers = [
        mapping(operation).get(name) for operation in operations for name in ("path", "from")
    ]
    return all(pointer in (None, "") or str(pointer).startswith("/") for pointer in pointers)
