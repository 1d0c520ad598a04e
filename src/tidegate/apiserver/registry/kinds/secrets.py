"""Secret: its defaults, and what each type of Secret must hold."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import orjson

from tidegate.apiserver.registry.fielderrors import FieldErrors
from tidegate.apiserver.registry.fielderrors import key as entry
from tidegate.apiserver.registry.kinds.data import (
    validate_keys,
    validate_size,
    validate_unchanged,
)
from tidegate.apiserver.values import ensure, mapping
from tidegate.kube.objects import Object, annotations_of

_ACCOUNT_NAME = "kubernetes.io/service-account.name"
_TYPE = "kubernetes.io/"
_HIDDEN = "<secret contents redacted>"


def default_secret(obj: Object) -> None:
    """`stringData` goes into `data`; the type is Opaque."""
    texts = mapping(obj.pop("stringData", None))
    if texts:
        data = ensure(obj, "data")
        for key, value in texts.items():
            data[key] = base64.b64encode(str(value).encode()).decode()
    obj.setdefault("type", "Opaque")


def validate_secret(obj: Object, old: Object | None, errors: FieldErrors) -> None:
    """Keys, size, what the type asks for, and what must not change."""
    data = mapping(obj.get("data"))
    validate_keys("data", data, errors)
    validate_size(list(data.values()), "data", errors)
    check = _CHECKS.get(str(obj.get("type")).removeprefix(_TYPE))
    if check is not None:
        check(obj, data, errors)
    if old is not None:
        errors.immutable("type", old.get("type"), obj.get("type"))
    validate_unchanged(obj, old, ("data",), errors)


def _needs(*keys: str) -> Callable[[Object, Object, FieldErrors], None]:
    def check(_: Object, data: Object, errors: FieldErrors) -> None:
        for key in keys:
            if key not in data:
                errors.required(entry("data", key))

    return check


def _needs_one_of(*keys: str) -> Callable[[Object, Object, FieldErrors], None]:
    def check(_: Object, data: Object, errors: FieldErrors) -> None:
        if not any(key in data for key in keys):
            for key in keys:
                errors.required(entry("data", key))

    return check


def _needs_json(key: str) -> Callable[[Object, Object, FieldErrors], None]:
    def check(_: Object, data: Object, errors: FieldErrors) -> None:
        path = entry("data", key)
        if key not in data:
            errors.required(path)
            return
        try:
            orjson.loads(base64.b64decode(str(data[key])))
        except (orjson.JSONDecodeError, binascii.Error) as error:
            errors.invalid(path, _HIDDEN, str(error))

    return check


def _needs_account(obj: Object, _: Object, errors: FieldErrors) -> None:
    if not annotations_of(obj).get(_ACCOUNT_NAME):
        errors.required(f"metadata.annotations[{_ACCOUNT_NAME}]")


_CHECKS: dict[str, Callable[[Object, Object, FieldErrors], None]] = {
    "basic-auth": _needs_one_of("username", "password"),
    "dockercfg": _needs_json(".dockercfg"),
    "dockerconfigjson": _needs_json(".dockerconfigjson"),
    "service-account-token": _needs_account,
    "ssh-auth": _needs("ssh-privatekey"),
    "tls": _needs("tls.crt", "tls.key"),
}
