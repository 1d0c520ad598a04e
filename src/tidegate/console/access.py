"""Who may read the console: whoever has the token, asked for under a name that is ours.

On a machine with several users everyone reaches loopback, so an address is no proof of anything.
The token comes once in a URL and is exchanged for a cookie. The check of the Host header keeps
pages of foreign sites out whose name was made to point here (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from starlette.requests import HTTPConnection

from tidegate.kube.errors import UserError

_MIN_TOKEN = 16


def load_or_make_token(path: Path) -> str:
    """The token in `path`; made, readable by its owner only, when there is none.

    Raises:
        UserError: the file cannot be used.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise UserError(f"cannot write the console's token to {path}: {error.strerror}") from error
    token = secrets.token_urlsafe(24)
    with os.fdopen(handle, "w") as file:
        file.write(f"{token}\n")
    return token


def _read(path: Path) -> str:
    try:
        token = path.read_text().strip()
        readers = path.stat().st_mode & 0o077
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the console's token in {path}: {error}") from error
    if len(token) < _MIN_TOKEN:
        raise UserError(
            f"the console's token in {path} is shorter than {_MIN_TOKEN} characters:"
            " remove the file to have a new one made"
        )
    if readers:
        raise UserError(f"others may read the console's token: run `chmod 600 {path}`")
    return token


class Guard:
    """Decides about requests.

    Args:
        token: the access token.
        port: tells the cookies of several consoles on one host apart.
        host_names: names besides localhost and addresses that are ours.
    """

    def __init__(self, token: str, *, port: int, host_names: Iterable[str]) -> None:
        self._token = token
        self.cookie_name = f"tidegate_console_{port}"
        # What a browser keeps opens the console, but is not the token itself.
        self.cookie_value = hmac.new(token.encode(), b"console", hashlib.sha256).hexdigest()
        self._host_names = frozenset(name.lower() for name in host_names)

    def is_ours(self, host: str) -> bool:
        """Whether a Host header names this console: by address, as localhost or as configured."""
        name = _host_name(host)
        if name == "localhost" or name.endswith(".localhost") or name in self._host_names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def is_token(self, candidate: str) -> bool:
        return hmac.compare_digest(candidate.encode(), self._token.encode())

    def may_read(self, connection: HTTPConnection) -> bool:
        """Whether a request carries the cookie, or the token as bearer."""
        cookie = connection.cookies.get(self.cookie_name, "")
        if hmac.compare_digest(cookie.encode(), self.cookie_value.encode()):
            return True
        scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.is_token(credentials.strip())


def _host_name(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
