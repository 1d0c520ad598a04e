"""Puts together what a page shows, from the catalog, the numbers and the bills."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.console.catalog import Catalog
from tidegate.console.costs import Bill, bills, revision_of, service_of
from tidegate.console.settings import Usage, UsageSource
from tidegate.console.states import State, service_state
from tidegate.console.views import (
    ConditionRow,
    EventRow,
    Numbers,
    PodRow,
    ServiceRow,
    StartRow,
    TrafficRow,
    condition_rows,
    event_row,
    numbers,
    pod_row,
    safe_url,
    service_row,
    start_row,
    traffic_row,
)
from tidegate.kube.clock import Clock
from tidegate.kube.objects import Key, Object, key_of, name_of, namespace_of, status_of
from tidegate.observability.cold_starts import ColdStarts
from tidegate.observability.slots import ZERO, Gauges
from tidegate.observability.store import Store

WINDOW_SECONDS = 60
MOST_ROWS = 200
_MOST_EVENTS = 40
_MOST_ENDED = 20


@dataclass(frozen=True)
class Overview:
    """The list of services.

    Attributes:
        rows: the first that match, in order.
        more: how many more match.
        namespaces: all that have services.
        ready, total: services that are ready, and all that match.
        pods, rate, waiting, bill: sums over those that are shown.
    """

    rows: list[ServiceRow]
    more: int
    namespaces: list[str]
    ready: int
    total: int
    pods: int
    rate: float
    waiting: int
    bill: Bill


@dataclass(frozen=True)
class Detail:
    """One service."""

    key: Key
    state: State
    url: str
    numbers: Numbers
    bill: Bill
    traffic: list[TrafficRow]
    pods: list[PodRow]
    starts: list[StartRow]
    ended: list[Usage]
    ended_bill: Bill
    conditions: list[ConditionRow]
    events: list[EventRow]


class Presenter:
    """Reads; see the attributes of what it returns."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        store: Store,
        cold_starts: ColdStarts,
        usages: UsageSource,
        clock: Clock,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._cold_starts = cold_starts
        self._usages = usages
        self._clock = clock

    def overview(self, *, namespace: str = "", query: str = "") -> Overview:
        """All services, or those of a namespace, or those whose name contains `query`."""
        services = self._catalog.services()
        matching = [
            service
            for service in services
            if namespace in ("", namespace_of(service)) and query.lower() in name_of(service)
        ]
        owners = self._owners(services)
        all_bills = bills(self._usages(), owners)
        rows = [self._row(service, all_bills) for service in matching[:MOST_ROWS]]
        total_bill = Bill(
            sum(row.bill.pods for row in rows),
            sum(row.bill.seconds for row in rows),
            sum(row.bill.cost for row in rows),
            sum(row.bill.per_hour for row in rows),
        )
        return Overview(
            rows=rows,
            more=max(len(matching) - MOST_ROWS, 0),
            namespaces=sorted({namespace_of(service) for service in services}),
            ready=sum(service_state(service).tone == "good" for service in matching),
            total=len(matching),
            pods=sum(row.pods for row in rows),
            rate=sum(row.numbers.rate for row in rows),
            waiting=sum(row.numbers.waiting for row in rows),
            bill=total_bill,
        )

    def detail(self, key: Key) -> Detail | None:
        """One service, None when there is none of that name."""
        service = self._catalog.service(key)
        if service is None:
            return None
        now = self._clock.time()
        revisions = self._catalog.revisions(key)
        pods = self._catalog.pods(key)
        names = [name_of(revision) for revision in revisions]
        owners = {Key(key.namespace, name): key.name for name in names}
        usages = [usage for usage in self._usages() if service_of(usage, owners) == key]
        ended = [usage for usage in usages if not usage.running]
        metered = {Key(u.namespace, u.pod): u for u in usages if u.running}
        return Detail(
            key=key,
            state=service_state(service),
            url=safe_url(status_of(service).get("url")),
            numbers=self._numbers([key_of(revision) for revision in revisions]),
            bill=bills(usages, owners).get(key, Bill()),
            traffic=[
                traffic_row(
                    revision,
                    service,
                    pods=pods,
                    numbers=self._numbers([key_of(revision)]),
                    now=now,
                )
                for revision in revisions
            ],
            pods=[pod_row(pod, metered.get(key_of(pod)), now=now) for pod in pods],
            starts=[
                start_row(name_of(revision), start, now=now)
                for revision in revisions
                if (start := self._cold_starts.last(key_of(revision))) is not None
            ],
            ended=ended[:_MOST_ENDED],
            ended_bill=bills(ended, owners).get(key, Bill()),
            conditions=condition_rows(service, now=now),
            events=[
                event_row(event, now=now)
                for event in self._catalog.events(
                    key, (*names, *_ended_revisions(ended)), most=_MOST_EVENTS
                )
            ],
        )

    def revision_keys(self, service: Key) -> list[Key]:
        """The revisions whose numbers are the service's."""
        return [key_of(revision) for revision in self._catalog.revisions(service)]

    def _row(self, service: Object, all_bills: dict[Key, Bill]) -> ServiceRow:
        key = key_of(service)
        revisions = self.revision_keys(key)
        return service_row(
            service,
            revisions=len(revisions),
            pods=self._catalog.pods(key),
            numbers=self._numbers(revisions),
            bill=all_bills.get(key, Bill()),
        )

    def _numbers(self, revisions: list[Key]) -> Numbers:
        gauges: Gauges = ZERO
        for revision in revisions:
            gauges = gauges.plus(self._store.gauges(revision))
        point = self._store.recent(revisions, seconds=WINDOW_SECONDS)
        return numbers(point, gauges, seconds=max(self._store.now - point.start, 1))

    def _owners(self, services: list[Object]) -> dict[Key, str]:
        return {
            revision: name_of(service)
            for service in services
            for revision in self.revision_keys(key_of(service))
        }


def _ended_revisions(ended: list[Usage]) -> set[str]:
    return {revision_of(usage.pod) for usage in ended}
