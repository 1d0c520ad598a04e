"""The one exception tree: the user's fault against ours, each with a Kubernetes `Status`.

TidegateError
├── UserError             something the user can put right; shown as one clear message
│   └── ApiError          refused by a Kubernetes API; carries a `Status`
│       ├── BadRequest            400
│       ├── Unauthorized          401
│       ├── Forbidden             403
│       ├── NotFound              404
│       ├── MethodNotAllowed      405
│       ├── AlreadyExists         409
│       ├── Conflict              409
│       ├── Gone                  410
│       ├── PayloadTooLarge       413
│       ├── UnsupportedMediaType  415
│       ├── Invalid               422
│       ├── TooManyRequests       429
│       ├── InternalError         500
│       └── ServiceUnavailable    503
└── InternalFault         ours: a bug or a broken machine; logged with its traceback
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class TidegateError(Exception):
    """Root of everything Tidegate raises on purpose."""


class UserError(TidegateError):
    """The user's fault or something the user can mend; the message says what, where and how."""


class InternalFault(TidegateError):
    """Our fault, or the machine's; never shown as if the user had done it."""


@dataclass(frozen=True)
class Cause:
    """One entry of `Status.details.causes`."""

    reason: str
    message: str
    field: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(UserError):
    """A refusal in Kubernetes' shape.

    Args:
        message: what was wrong and where.
        resource: plural name of the resource, with `group` and `name` as in `Status.details`.
        causes: one entry per offending field.
        retry_after: seconds after which a retry makes sense.
    """

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(
        self,
        message: str,
        *,
        resource: str = "",
        group: str = "",
        name: str = "",
        causes: Sequence[Cause] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.resource = resource
        self.group = group
        self.name = name
        self.causes = tuple(causes)
        self.retry_after = retry_after

    def status(self) -> dict[str, Any]:
        """The `Status` object a Kubernetes API answers with."""
        details: dict[str, Any] = {}
        if self.name:
            details["name"] = self.name
        if self.group:
            details["group"] = self.group
        if self.resource:
            details["kind"] = self.resource
        if self.causes:
            details["causes"] = [cause.to_dict() for cause in self.causes]
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        # Some clients look into the details of these without asking whether there are any.
        if details or self.code in (403, 404):
            status["details"] = details
        return status


class BadRequest(ApiError):
    """The request cannot be read."""

    code = 400
    reason = "BadRequest"


class Unauthorized(ApiError):
    """Nobody, or nobody we know."""

    code = 401
    reason = "Unauthorized"


class Forbidden(ApiError):
    """Known, and not allowed."""

    code = 403
    reason = "Forbidden"


class NotFound(ApiError):
    """No such object or resource."""

    code = 404
    reason = "NotFound"


class MethodNotAllowed(ApiError):
    """The resource has no such verb."""

    code = 405
    reason = "MethodNotAllowed"


class AlreadyExists(ApiError):
    """The name is taken."""

    code = 409
    reason = "AlreadyExists"


class Conflict(ApiError):
    """The object has changed since it was read, or a precondition does not hold."""

    code = 409
    reason = "Conflict"


class Gone(ApiError):
    """The resourceVersion is older than the event log: list again.

    Args:
        continue_token: with which a list in pages can go on nevertheless.
    """

    code = 410
    reason = "Expired"

    def __init__(self, message: str, *, continue_token: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.continue_token = continue_token

    def status(self) -> dict[str, Any]:
        status = super().status()
        if self.continue_token:
            status["metadata"] = {"continue": self.continue_token}
        return status


class PayloadTooLarge(ApiError):
    """The body is over the limit."""

    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    """The body's content type is not understood."""

    code = 415
    reason = "UnsupportedMediaType"


class Invalid(ApiError):
    """The object is well-formed and not valid."""

    code = 422
    reason = "Invalid"


class TooManyRequests(ApiError):
    """The client is over its share."""

    code = 429
    reason = "TooManyRequests"


class InternalError(ApiError):
    """The API failed."""

    code = 500
    reason = "InternalError"


class ServiceUnavailable(ApiError):
    """The API cannot serve this now."""

    code = 503
    reason = "ServiceUnavailable"


_CLASSES: tuple[type[ApiError], ...] = (
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    AlreadyExists,
    Conflict,
    Gone,
    PayloadTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    ServiceUnavailable,
)
_BY_REASON = {cls.reason: cls for cls in _CLASSES}
_BY_CODE = {cls.code: cls for cls in reversed(_CLASSES)}


def from_status(status: Mapping[str, Any], *, code: int | None = None) -> ApiError:
    """The exception that a `Status` object stands for; `code` is the HTTP status as a fallback."""
    details: Mapping[str, Any] = status.get("details") or {}
    reason = str(status.get("reason") or "")
    status_code = int(status.get("code") or code or 500)
    cls = _BY_REASON.get(reason) or _BY_CODE.get(status_code, InternalError)
    causes: Sequence[Mapping[str, Any]] = details.get("causes") or ()
    return cls(
        str(status.get("message") or f"the API answered {status_code}"),
        resource=str(details.get("kind") or ""),
        group=str(details.get("group") or ""),
        name=str(details.get("name") or ""),
        causes=[
            Cause(str(c.get("reason", "")), str(c.get("message", "")), str(c.get("field", "")))
            for c in causes
        ],
        retry_after=details.get("retryAfterSeconds"),
    )
