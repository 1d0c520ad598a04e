"""The refusals that name a resource and an object, in Kubernetes' words."""

from __future__ import annotations

from typing import ClassVar

from tidegate.kube.errors import (
    AlreadyExists,
    ApiError,
    Cause,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
)
from tidegate.kube.resources import Resource

_NO_METHOD = "the server does not allow this method on the requested resource"


class Timeout(ApiError):  # noqa: N818 - named by Kubernetes' reason
    """The server has not got there yet: the version asked for is in the future."""

    code: ClassVar[int] = 504
    reason: ClassVar[str] = "Timeout"


def not_found(resource: Resource, name: str) -> NotFound:
    """No such object."""
    return NotFound(
        f'{resource.qualified} "{name}" not found',
        resource=resource.plural,
        group=resource.group,
        name=name,
    )


def already_exists(resource: Resource, name: str) -> AlreadyExists:
    """The name is taken."""
    return AlreadyExists(
        f'{resource.qualified} "{name}" already exists',
        resource=resource.plural,
        group=resource.group,
        name=name,
    )


def conflict(resource: Resource, name: str, detail: str = "") -> Conflict:
    """The object has changed since it was read, or what `detail` says."""
    detail = detail or (
        "the object has been modified; please apply your changes to the latest version and try"
        " again"
    )
    return Conflict(
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": {detail}',
        resource=resource.plural,
        group=resource.group,
        name=name,
    )


def forbidden(
    resource: Resource, name: str, detail: str, causes: tuple[Cause, ...] = ()
) -> Forbidden:
    """Not allowed, for the reason that `detail` gives."""
    shown = f'{resource.qualified} "{name}"' if name else resource.qualified
    return Forbidden(
        f"{shown} is forbidden: {detail}",
        resource=resource.plural,
        group=resource.group,
        name=name,
        causes=causes,
    )


def method_not_allowed(resource: Resource, verb: str) -> MethodNotAllowed:
    """The resource has no such verb."""
    return MethodNotAllowed(
        _NO_METHOD,
        resource=resource.plural,
        group=resource.group,
        name="",
        causes=(Cause("MethodNotAllowed", f"{resource.qualified} has no verb {verb}"),),
    )


def no_such_method() -> MethodNotAllowed:
    """The method means nothing at this URL."""
    return MethodNotAllowed(_NO_METHOD)


def no_such_resource() -> NotFound:
    """The URL names nothing that is served."""
    return NotFound("the server could not find the requested resource")


def version_too_large(asked: int, current: int) -> Timeout:
    """A list wants a version that was never given."""
    message = f"Too large resource version: {asked}, current: {current}"
    return Timeout(
        message,
        causes=(Cause("ResourceVersionTooLarge", "Too large resource version"),),
        retry_after=1,
    )
