"""Kubernetes' own types in rules: quantities, URLs, addresses and networks.

A value of each is a text in its shortest form, so that equal values are equal texts.
https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from tidegate.kube.quantities import parse_quantity

_MAX_INTEGER = 2**63


def _is(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _quantity(text: str) -> str:
    return str(parse_quantity(text))


def _number(value: str | int) -> Fraction:
    return Fraction(value)


def _compare(one: str, other: str) -> int:
    a, b = _number(one), _number(other)
    return (a > b) - (a < b)


def _add(one: str, other: str | int) -> str:
    return str(_number(one) + _number(other))


def _sub(one: str, other: str | int) -> str:
    return str(_number(one) - _number(other))


def _is_integer(value: str) -> bool:
    number = _number(value)
    return number.denominator == 1 and -_MAX_INTEGER <= number < _MAX_INTEGER


def _as_integer(value: str) -> int:
    if not _is_integer(value):
        raise ValueError("cannot convert value to integer")
    return int(_number(value))


def _split_url(text: str) -> SplitResult:
    parts = urlsplit(text)
    if not (parts.scheme and parts.netloc) and not text.startswith("/"):
        raise ValueError(f"{text!r} is neither an absolute URL nor an absolute path")
    parts.port  # noqa: B018 (raises on one that is no number)
    return parts


def _url(text: str) -> str:
    _split_url(text)
    return text


def _host(text: str) -> str:
    return urlsplit(text).netloc.rpartition("@")[2]


def _hostname(text: str) -> str:
    return urlsplit(text).hostname or ""


def _port(text: str) -> str:
    port = urlsplit(text).port
    return "" if port is None else str(port)


def _address(text: str) -> str:
    """An address; of a network, the address that it was written with."""
    return str(ipaddress.ip_address(text.partition("/")[0]))


def _plain_address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _network(text: str) -> str:
    if "/" not in text:
        raise ValueError(f"{text!r} is no network in CIDR notation")
    return str(ipaddress.ip_interface(text))


def _has(name: str) -> Callable[[str], bool]:
    def check(address: str) -> bool:
        return bool(getattr(ipaddress.ip_address(address), name))

    return check


def _is_global(address: str) -> bool:
    found = ipaddress.ip_address(address)
    special = found.is_unspecified or found.is_loopback or found.is_multicast
    return not special and not found.is_link_local and address != "255.255.255.255"


def _is_link_local_multicast(address: str) -> bool:
    return address.startswith("224.0.0.") or address[:4] in ("ff02", "ff12")


def _is_link_local_unicast(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return found.is_link_local and not found.is_multicast


def _contains_ip(network: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_interface(network).network


def _contains_network(outer: str, inner: str) -> bool:
    a, b = ipaddress.ip_interface(outer).network, ipaddress.ip_interface(inner).network
    return a.version == b.version and b.subnet_of(a)  # pyright: ignore[reportArgumentType]


def _as_float(value: str) -> float:
    return float(_number(value))


def _is_greater(one: str, other: str) -> bool:
    return _compare(one, other) > 0


def _is_less(one: str, other: str) -> bool:
    return _compare(one, other) < 0


def _sign(value: str) -> int:
    return _compare(value, "0")


def _scheme(text: str) -> str:
    return urlsplit(text).scheme


def _path(text: str) -> str:
    return urlsplit(text).path


def _query(text: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(text).query, keep_blank_values=True)


def _family(address: str) -> int:
    return ipaddress.ip_address(address).version


def _is_canonical(text: str) -> bool:
    return _plain_address(text) == text


def _masked(network: str) -> str:
    return str(ipaddress.ip_interface(network).network)


def _prefix_length(network: str) -> int:
    return ipaddress.ip_interface(network).network.prefixlen


VALUE_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": _add,
    "asApproximateFloat": _as_float,
    "asInteger": _as_integer,
    "cidr": _network,
    "compareTo": _compare,
    "containsCIDR": _contains_network,
    "containsIP": _contains_ip,
    "family": _family,
    "getEscapedPath": _path,
    "getHost": _host,
    "getHostname": _hostname,
    "getPort": _port,
    "getQuery": _query,
    "getScheme": _scheme,
    "ip": _address,
    "ip.isCanonical": _is_canonical,
    "isCIDR": _is(_network),
    "isGlobalUnicast": _is_global,
    "isGreaterThan": _is_greater,
    "isIP": _is(_plain_address),
    "isInteger": _is_integer,
    "isLessThan": _is_less,
    "isLinkLocalMulticast": _is_link_local_multicast,
    "isLinkLocalUnicast": _is_link_local_unicast,
    "isLoopback": _has("is_loopback"),
    "isQuantity": _is(parse_quantity),
    "isURL": _is(_split_url),
    "isUnspecified": _has("is_unspecified"),
    "masked": _masked,
    "prefixLength": _prefix_length,
    "quantity": _quantity,
    "sign": _sign,
    "sub": _sub,
    "url": _url,
}
