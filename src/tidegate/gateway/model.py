"""What the gateway must know of the world, freed from the shape of API objects."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.kube.objects import Key


@dataclass(frozen=True)
class Affinity:
    """Sessions stay with a pod: the cookie's name and how many seconds it lasts."""

    cookie: str
    max_age: int


# What a revision without any settings has for the first byte of an answer.
USUAL_START_MS = 300_000


@dataclass(frozen=True)
class Revision:
    """One Revision as far as requests are concerned.

    Attributes:
        key: namespace and name.
        limit: containerConcurrency, 0 for none.
        start_ms: a pod that has not begun to answer for longer loses the request.
        idle_ms: answers and WebSockets in which nothing is said for longer end, 0 if not asked for.
        max_queued: requests that may wait.
        speaks_h2: pods take HTTP/2 with prior knowledge.
        affinity: how sessions stick, None if they do not.
    """

    key: Key
    limit: int
    start_ms: int
    idle_ms: int
    max_queued: int
    speaks_h2: bool = False
    affinity: Affinity | None = None

    @property
    def is_limited(self) -> bool:
        return self.limit > 0

    @property
    def has_start_limit(self) -> bool:
        """Whether a first byte may be late sooner than HAProxy would end a silence."""
        return self.idle_ms == 0 or self.start_ms < self.idle_ms

    @property
    def is_watched(self) -> bool:
        """Whether the first byte has longer than HAProxy can count for every request alike."""
        return self.has_start_limit and self.start_ms > USUAL_START_MS

    @property
    def is_plain(self) -> bool:
        """Whether HAProxy's usual limit is all there is to do, and sessions do not stick."""
        return (self.start_ms, self.idle_ms, self.affinity) == (USUAL_START_MS, 0, None)


@dataclass(frozen=True)
class PodServer:
    """Where a pod listens, and whether new requests may go there.

    `places` is how many of its requests at once are this gateway's, None for as many as it takes.
    """

    pod: str
    address: str
    port: int
    in_rotation: bool
    places: int | None = None


@dataclass(frozen=True)
class Split:
    """A part of a route's traffic: `percent` of it goes to `revision`.

    Attributes:
        revision: or a Service of Kubernetes, see `targets.target_key`.
        headers: set on what goes there, names and values.
    """

    revision: Key
    percent: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PathRoute:
    """Requests of a host that begin with a path and have some headers.

    Attributes:
        prefix: of the path; empty for all.
        matches: names of headers and what they must be.
        host: replaces the Host header, unless empty.
        splits: percents sum to 100.
    """

    prefix: str
    matches: tuple[tuple[str, str], ...]
    host: str
    splits: tuple[Split, ...]


@dataclass(frozen=True)
class HostRoute:
    """What a host leads to.

    Attributes:
        host: lower case, no port.
        tag: empty for the host itself; else the value of `Knative-Serving-Tag` that leads here.
        splits: percents sum to 100; empty with `paths`.
        is_local: only the cluster asks for it, so that it needs no certificate.
        redirects: plain HTTP is sent to HTTPS.
        by_rule: not the header, but a rule of a gray release leads to the tag.
        digest: of what the KIngress says, for who asks whether it is served; empty for a tag.
        rules: the rules that lead to tags of this host, as `encode_rules` writes them.
        paths: for a host that is not served as a whole: the first that fits a request decides.
    """

    host: str
    tag: str
    splits: tuple[Split, ...]
    is_local: bool = False
    redirects: bool = False
    by_rule: bool = False
    rules: str = ""
    digest: str = ""
    paths: tuple[PathRoute, ...] = ()
