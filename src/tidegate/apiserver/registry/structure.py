"""Does an object have the shape its schema says: unknown fields and wrong types."""

from __future__ import annotations

from tidegate.apiserver.registry.registry import Registry
from tidegate.apiserver.registry.spec import KindSpec
from tidegate.apiserver.requests import RequestContext
from tidegate.kube.objects import Object


def check_structure(
    registry: Registry, spec: KindSpec, obj: Object, context: RequestContext
) -> None:
    """Check `obj` against the schema of its kind."""
