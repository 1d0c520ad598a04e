"""The formats of strings that the schemas of custom kinds may ask for."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

from tidegate.kube.clock import parse_rfc3339

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_HOSTNAME = re.compile(
    r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*"
)
_DURATION = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w)(.*)")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")


def has_form(form: str, text: str) -> bool:
    """Whether `text` has the format; formats that are not known allow everything."""
    check = _FORMS.get(form)
    if check is None:
        return True
    try:
        return bool(check(text))
    except (ValueError, OverflowError, binascii.Error):
        return False


def _parsed(parse: Callable[[str], object]) -> Callable[[str], bool]:
    """A format that is whatever `parse` does not refuse."""

    def check(text: str) -> bool:
        parse(text)
        return True

    return check


def _is_uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme) or text.startswith("/")


_FORMS: dict[str, Callable[[str], object]] = {
    "byte": _parsed(lambda text: base64.b64decode(text, validate=True)),
    "cidr": _parsed(lambda text: ipaddress.ip_network(text, strict=False)),
    "date": _parsed(date.fromisoformat),
    "date-time": _parsed(parse_rfc3339),
    "datetime": _parsed(parse_rfc3339),
    "duration": _DURATION.fullmatch,
    "email": _EMAIL.fullmatch,
    "hostname": lambda text: len(text) <= 255 and _HOSTNAME.fullmatch(text),
    "ipv4": _parsed(ipaddress.IPv4Address),
    "ipv6": _parsed(ipaddress.IPv6Address),
    "mac": _MAC.fullmatch,
    "uri": _is_uri,
    "uuid": _parsed(uuid.UUID),
}
