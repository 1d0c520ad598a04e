"""Kubernetes' rules for names, with its words for what is wrong with one."""

from __future__ import annotations

import re

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_TOO_LONG = "must be no more than {} characters"
_DNS_1035_MESSAGE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_NAME_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def dns1035_problems(name: str) -> list[str]:
    """What keeps `name` from being a label that begins with a letter, as Services need."""
    return _problems(name, _DNS_1035, 63, _DNS_1035_MESSAGE)


def is_dns1123_label(name: str) -> bool:
    return len(name) <= 63 and _DNS_1123.fullmatch(name) is not None


def subdomain_problems(name: str) -> list[str]:
    """What keeps `name` from being a DNS name."""
    return _problems(name, _SUBDOMAIN, 253, _SUBDOMAIN_MESSAGE)


def domain_problems(name: str) -> list[str]:
    """What keeps `name` from being a fully qualified domain name, as a list of errors of fields."""
    if not name:
        return ["name: Required value"]
    problems = subdomain_problems(name)
    if not problems and "." not in name:
        problems = ["should be a domain with at least two segments separated by dots"]
    return [f'name: Invalid value: "{name}": {problem}' for problem in problems]


def qualified_name_problems(name: str) -> list[str]:
    """What keeps `name` from being a name part of a label key."""
    return _problems(name, _QUALIFIED_NAME, 63, _QUALIFIED_NAME_MESSAGE)


def _problems(name: str, pattern: re.Pattern[str], limit: int, message: str) -> list[str]:
    problems = [_TOO_LONG.format(limit)] if len(name) > limit else []
    if not pattern.fullmatch(name):
        problems.append(message)
    return problems
