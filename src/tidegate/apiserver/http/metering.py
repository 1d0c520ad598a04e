"""The API's own figures at `/metrics`, by the names of Kubernetes' API server."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tidegate.apiserver.http.exchange import Exchange
from tidegate.apiserver.http.rest import Call
from tidegate.kube.clock import Clock

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

# Kubernetes'.
_BUCKETS = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3),
    *(4, 5, 6, 8, 10, 15, 20, 30, 45, 60),
)
_LABELS = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
_COMPONENT = "apiserver"
_VERBS = {"create": "POST", "update": "PUT"}
_STREAMS = frozenset(("attach", "exec", "log", "portforward"))
_READS = frozenset(("get", "list", "watch"))


class RequestMeter:
    """Counts requests.

    Args:
        clock: by which their durations are measured.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self._total = Counter(
            "apiserver_request_total",
            "Counter of apiserver requests broken out for each verb, dry run value, group, version,"
            " resource, scope, component, and HTTP response code.",
            (*_LABELS, "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "Response latency distribution in seconds for each verb, dry run value, group, version,"
            " resource, subresource, scope and component.",
            _LABELS,
            registry=self._registry,
            buckets=_BUCKETS,
        )
        # Prometheus' own look-up of a series is what would cost the most.
        self._series: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}
        inflight = Gauge(
            "apiserver_current_inflight_requests",
            "Number of requests that are being worked on, watches and other streams apart.",
            ("request_kind",),
            registry=self._registry,
        )
        self._working = {"mutating": 0, "readOnly": 0}
        for kind in self._working:
            inflight.labels(kind).set_function(partial(self._working.__getitem__, kind))

    def now(self) -> float:
        """When a request begins, for `record`."""
        return self._clock.monotonic()

    def record(self, exchange: Exchange, call: Call | None, began: float) -> None:
        """A request that is over; those that named no resource are without a `call`."""
        labels = (*_labels(exchange, call), str(exchange.code))
        series = self._series.get(labels)
        if series is None:
            series = (self._total.labels(*labels), self._seconds.labels(*labels[:-1]))
            self._series[labels] = series
        series[0].inc()
        series[1].observe(self._clock.monotonic() - began)

    @contextmanager
    def working(self, call: Call) -> Generator[None]:
        """While it is worked on."""
        kind = "readOnly" if call.verb in _READS else "mutating"
        self._working[kind] += 1
        try:
            yield
        finally:
            self._working[kind] -= 1

    def exposition(self) -> bytes:
        """All figures, in Prometheus' text format."""
        return generate_latest(self._registry)


def _labels(exchange: Exchange, call: Call | None) -> tuple[str, ...]:
    if call is None:
        # The method and the path are the client's: there is no end of them.
        verb = exchange.method if exchange.method in ("GET", "HEAD") else "OTHER"
        return (verb, "", "", "", "", "", "", _COMPONENT)
    resource = call.spec.resource
    return (
        _verb(exchange, call),
        "All" if exchange.query.get("dryRun") else "",
        resource.group,
        resource.version,
        resource.plural,
        _subresource(call),
        _scope(call),
        _COMPONENT,
    )


def _verb(exchange: Exchange, call: Call) -> str:
    if call.target.subresource in _STREAMS:
        return "CONNECT"
    media_type = exchange.headers.get("content-type", "")
    if call.verb == "patch" and media_type.startswith("application/apply-patch"):
        return "APPLY"
    return _VERBS.get(call.verb, call.verb.upper())


def _subresource(call: Call) -> str:
    """Its name; empty for those that are none, whose names there is no end of."""
    name = call.target.subresource
    if not name:
        return ""
    known = {"scale", "status", *(known for known, _, _ in call.spec.subresources)}
    return name if name in known else ""


def _scope(call: Call) -> str:
    if call.target.name or call.verb == "create":
        return "resource"
    return "namespace" if call.target.namespace else "cluster"
