"""The numbers as Prometheus reads them, under Knative's names where Knative has one.

What is read is a copy made on the event loop, so that the text can be made in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tidegate import __version__
from tidegate.observability.cold_starts import PhaseTiming
from tidegate.observability.slots import Gauges
from tidegate.observability.track import Timing, Totals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Knative's bounds, in milliseconds.
_BOUNDS = (
    *(5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500),
    *(600, 700, 800, 900, 1000, 2000, 5000, 10000, 20000, 50000, 100000),
)
_LABELS = ("namespace_name", "service_name", "configuration_name", "revision_name")


@dataclass(frozen=True)
class RevisionNumbers:
    """One revision: its labels, its counters, its gauges and its cold starts by phase."""

    labels: dict[str, str]
    totals: Totals
    gauges: Gauges
    phases: Mapping[str, PhaseTiming]

    @property
    def values(self) -> list[str]:
        return [self.labels[name] for name in _LABELS]


def render(revisions: Sequence[RevisionNumbers], *, unrouted: int) -> bytes:
    """The text for a scrape: the revisions', and this process's own."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_Snapshot(revisions, unrouted))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, revisions: Sequence[RevisionNumbers], unrouted: int) -> None:
        self._revisions = revisions
        self._unrouted = unrouted

    def collect(self) -> Iterable[Metric]:
        yield _build_info()
        yield CounterMetricFamily(
            "tidegate_unrouted_requests",
            "Requests for a host that no route has.",
            value=self._unrouted,
        )
        yield _request_count(self._revisions)
        yield from _times(self._revisions)
        yield _phases(self._revisions)
        yield from _counters(self._revisions)
        yield from _gauges(self._revisions)


def _build_info() -> Metric:
    family = GaugeMetricFamily("tidegate_build_info", "Version of Tidegate.", labels=["version"])
    family.add_metric([__version__], 1)
    return family


def _request_count(revisions: Sequence[RevisionNumbers]) -> Metric:
    # Knative's counter has no `_total` at its end, which the library's own family would add.
    family = Metric("revision_request_count", "Requests answered, by status.", "unknown")
    for revision in revisions:
        for code, number in sorted(revision.totals.by_code.items()):
            labels = {
                **revision.labels,
                "response_code": str(max(code, 0)),
                "response_code_class": f"{code // 100}xx" if code > 0 else "none",
            }
            family.add_sample("revision_request_count", labels, number)
    return family


def _times(revisions: Sequence[RevisionNumbers]) -> Iterable[Metric]:
    families = (
        ("revision_request_latencies", "Milliseconds from a request's arrival to its answer's end"),
        ("tidegate_queue_wait_milliseconds", "Milliseconds a request waited for a pod"),
        ("tidegate_cold_start_milliseconds", "Milliseconds a request was held for want of any pod"),
    )
    for name, text in families:
        family = HistogramMetricFamily(name, f"{text}.", labels=_LABELS)
        for revision in revisions:
            timing = _timing(revision.totals, name)
            family.add_metric(revision.values, _buckets(timing), timing.total_ms)
        yield family


def _phases(revisions: Sequence[RevisionNumbers]) -> Metric:
    family = HistogramMetricFamily(
        "tidegate_cold_start_phase_seconds",
        "What held requests waited for, phase by phase.",
        labels=(*_LABELS, "phase"),
    )
    for revision in revisions:
        for phase, timing in revision.phases.items():
            buckets = [(bound, float(number)) for bound, number in timing.cumulative()]
            family.add_metric([*revision.values, phase], buckets, timing.total)
    return family


def _timing(totals: Totals, name: str) -> Timing:
    if name == "revision_request_latencies":
        return totals.latency
    return totals.wait if name == "tidegate_queue_wait_milliseconds" else totals.cold_starts


def _buckets(timing: Timing) -> list[tuple[str, float]]:
    counts = timing.histogram.at_most(_BOUNDS)
    bounds = [(str(float(bound)), float(n)) for bound, n in zip(_BOUNDS, counts, strict=True)]
    return [*bounds, ("+Inf", float(timing.histogram.count))]


def _counters(revisions: Sequence[RevisionNumbers]) -> Iterable[Metric]:
    abandoned = CounterMetricFamily(
        "tidegate_abandoned_requests", "Requests whose client left.", labels=_LABELS
    )
    rejected = CounterMetricFamily(
        "tidegate_rejected_requests", "Requests refused without reaching a pod.", labels=_LABELS
    )
    cold = CounterMetricFamily(
        "tidegate_cold_starts", "Requests held for want of any pod.", labels=_LABELS
    )
    for revision in revisions:
        abandoned.add_metric(revision.values, revision.totals.abandoned)
        rejected.add_metric(revision.values, revision.totals.rejected)
        cold.add_metric(revision.values, revision.totals.cold_starts.histogram.count)
    yield from (abandoned, rejected, cold)


def _gauges(revisions: Sequence[RevisionNumbers]) -> Iterable[Metric]:
    families = (
        ("queue_average_concurrent_requests", "Requests that pods work on.", "in_flight"),
        ("revision_queue_depth", "Requests that wait for a slot of a pod.", "queued"),
        ("tidegate_held_requests", "Requests that wait because there is no pod.", "held"),
        ("autoscaler_desired_pods", "Pods that should be.", "desired"),
        ("autoscaler_actual_pods", "Pods that take requests.", "ready"),
    )
    for name, text, attribute in families:
        family = GaugeMetricFamily(name, text, labels=_LABELS)
        for revision in revisions:
            family.add_metric(revision.values, getattr(revision.gauges, attribute))
        yield family
