"""From Kubernetes' protobuf to the object that the same request would carry as JSON."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, cast

import orjson

from tidegate.apiserver.http.protobuf.messages import Field, Message, Shape, messages
from tidegate.apiserver.http.protobuf.wire import read_fields, signed
from tidegate.kube.clock import rfc3339, rfc3339_micro
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_MAX_DEPTH = 64

# Go writes every field that is no pointer, zero or not. Its JSON leaves those out, except where
# the zero itself says something: these are pointers, or always written.
_ZERO_COUNTS = frozenset(
    (
        "activeDeadlineSeconds",
        "allowPrivilegeEscalation",
        "allocateLoadBalancerNodePorts",
        "allowed",
        "automountServiceAccountToken",
        "backoffLimit",
        "backoffLimitPerIndex",
        "blockOwnerDeletion",
        "completions",
        "controller",
        "defaultMode",
        "deletionGracePeriodSeconds",
        "enableServiceLinks",
        "exitCode",
        "expirationSeconds",
        "fsGroup",
        "gracePeriodSeconds",
        "hostUsers",
        "immutable",
        "leaseDurationSeconds",
        "leaseTransitions",
        "maxFailedIndexes",
        "mode",
        "optional",
        "parallelism",
        "port",
        "priority",
        "privileged",
        "progressDeadlineSeconds",
        "publishNotReadyAddresses",
        "readOnlyRootFilesystem",
        "ready",
        "replicas",
        "restartCount",
        "revisionHistoryLimit",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "serving",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "started",
        "suspend",
        "terminating",
        "terminationGracePeriodSeconds",
        "tolerationSeconds",
        "ttlSecondsAfterFinished",
    )
)


def decode(body: bytes) -> Object:
    """The object in a request body.

    Raises:
        BadRequest: it is not in this encoding, or of a kind that is not known in it.
    """
    try:
        return _decode(body)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise BadRequest(f"the body of the request is no valid protobuf: {error}") from error


def _decode(body: bytes) -> Object:
    if not body.startswith(_MAGIC):
        raise ValueError("it does not begin with the mark of Kubernetes' encoding")
    envelope = dict(read_fields(body[len(_MAGIC) :]))
    meta = dict(read_fields(_bytes(envelope.get(1, b""))))
    version, kind = _bytes(meta.get(1, b"")).decode(), _bytes(meta.get(2, b"")).decode()
    raw = _bytes(envelope.get(2, b""))
    if _bytes(envelope.get(4, b"")) == b"application/json":
        return cast("Object", orjson.loads(raw))
    message = messages().get(f"{version}/{kind}") or messages().get(kind)
    if message is None:
        raise BadRequest(f"{kind} in version {version!r} is not accepted as protobuf: send JSON")
    return {"apiVersion": version, "kind": kind, **_fields(raw, message, 0)}


def _fields(data: bytes, message: Message, depth: int) -> Object:
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    result: Object = {}
    for number, raw in read_fields(data):
        field = message.get(number)
        if field is not None:
            _put(result, field, raw, depth)
    return result


def _put(result: Object, field: Field, raw: int | float | bytes, depth: int) -> None:
    if field.shape is Shape.MAP:
        entry = dict(read_fields(_bytes(raw)))
        key = _bytes(entry.get(1, b"")).decode()
        value = _value(field.type, entry.get(2, b""), depth)
        result.setdefault(field.name, {})[key] = value
        return
    value = _value(field.type, raw, depth)
    if field.shape is Shape.LIST:
        result.setdefault(field.name, []).append(value)
    elif field.name == "-":
        result.update(value)
    elif value not in (None, "", 0) or (_is_zero(value) and field.name in _ZERO_COUNTS):
        result[field.name] = value


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and not value


def _value(type_name: str, raw: int | float | bytes, depth: int) -> Any:
    scalar = _SCALARS.get(type_name)
    if scalar is not None:
        return scalar(raw)
    return _fields(_bytes(raw), messages()[type_name], depth + 1)


def _bytes(raw: int | float | bytes) -> bytes:
    if not isinstance(raw, bytes):
        raise TypeError("a number is where a text or message should be")
    return raw


def _text(raw: int | float | bytes) -> str:
    return _bytes(raw).decode()


def _integer(raw: int | float | bytes) -> int:
    # In maps, zero values are left out and come as the empty default.
    return signed(raw) if isinstance(raw, int) else 0


def _boolean(raw: int | float | bytes) -> bool:
    return bool(raw)


def _number(raw: int | float | bytes) -> float:
    return raw if isinstance(raw, float) else 0.0


def _base64(raw: int | float | bytes) -> str:
    return base64.b64encode(_bytes(raw)).decode()


def _instant(raw: int | float | bytes) -> tuple[int, int] | None:
    fields = dict(read_fields(_bytes(raw)))
    if not fields:
        return None
    return _integer(fields.get(1, 0)), _integer(fields.get(2, 0))


def _time(raw: int | float | bytes) -> str | None:
    instant = _instant(raw)
    return rfc3339(instant[0]) if instant else None


def _micro_time(raw: int | float | bytes) -> str | None:
    instant = _instant(raw)
    return rfc3339_micro(instant[0] + instant[1] / 1e9) if instant else None


def _quantity(raw: int | float | bytes) -> str:
    return _text(dict(read_fields(_bytes(raw))).get(1, b""))


def _int_or_string(raw: int | float | bytes) -> int | str:
    fields = dict(read_fields(_bytes(raw)))
    if fields.get(1, 0) == 1:
        return _text(fields.get(3, b""))
    return _integer(fields.get(2, 0))


def _embedded_json(raw: int | float | bytes) -> Any:
    content = _bytes(dict(read_fields(_bytes(raw))).get(1, b""))
    return orjson.loads(content) if content else None


def _texts(raw: int | float | bytes) -> list[str]:
    return [_text(value) for number, value in read_fields(_bytes(raw)) if number == 1]


_SCALARS: dict[str, Callable[[int | float | bytes], Any]] = {
    "string": _text,
    "int": _integer,
    "bool": _boolean,
    "double": _number,
    "bytes": _base64,
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "FieldsV1": _embedded_json,
    "RawExtension": _embedded_json,
    "ExtraValue": _texts,
}
