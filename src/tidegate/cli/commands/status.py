"""`tidegate status`: services, pods, the seconds the pods have run and what they cost."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from tidegate.apis.gateway_leases import (
    GATEWAY,
    NAMESPACE,
    duration_of,
    gateway_named,
    renewed_at,
)
from tidegate.apis.serving import SERVICES as KNATIVE_SERVICES
from tidegate.cli.records import further
from tidegate.cli.records.further import OWN, Further
from tidegate.cli.records.settings import Settings, load
from tidegate.cli.terminal import out, print_json
from tidegate.kube.clock import Clock, SystemClock, parse_rfc3339
from tidegate.kube.errors import UserError
from tidegate.kube.objects import (
    Object,
    annotations_of,
    condition_of,
    is_condition_true,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    status_of,
)
from tidegate.kube.remote import connect
from tidegate.kube.resources import LEASES, PODS
from tidegate.node.meter import Ledger

_SPEC = "k8s.aliyun.com/eci-instance-spec"
_PRICE = "tidegate.dev/price-per-hour"
_STARTED = "tidegate.dev/started-at"
_SERVICE = "serving.knative.dev/service"


@dataclass(frozen=True)
class ServiceLine:
    """One Knative Service."""

    namespace: str
    name: str
    url: str
    ready: bool
    reason: str
    pods: int


@dataclass(frozen=True)
class PodLine:
    """One pod that runs; `seconds` since its image was prepared, `cost` at its price."""

    namespace: str
    name: str
    service: str
    state: str
    spec: str
    seconds: float
    cost: float


@dataclass(frozen=True)
class GatewayLine:
    """A further gateway; its address and process are known where it is on this machine."""

    name: str
    alive: bool
    address: str
    process: int | None


@dataclass(frozen=True)
class EndedPods:
    """All pods that have ended, as the node's ledger has them."""

    pods: int
    seconds: float
    cost: float


@dataclass(frozen=True)
class Status:
    """What the command shows."""

    process: int
    api: str
    gateway: str
    https: str
    gateways: list[GatewayLine]
    console: str
    services: list[ServiceLine]
    pods: list[PodLine]
    ended: EndedPods


def show(data_dir: Path, *, output: str) -> None:
    """Print the state of the platform.

    Raises:
        UserError: it does not run.
    """
    status = asyncio.run(collect(load(data_dir), clock=SystemClock()))
    if output == "json":
        print_json(asdict(status))
    else:
        _print(status)


async def collect(settings: Settings, *, clock: Clock) -> Status:
    """Read the state of the platform through its API."""
    pid = settings.running_pid
    if pid is None:
        raise UserError(
            f"the platform of {settings.data_dir} does not run: start it with `tidegate up -d`"
        )
    async with connect(settings.kubeconfig) as client:
        services = (await client.list(KNATIVE_SERVICES)).items
        pods = (await client.list(PODS)).items
        leases = (await client.list(LEASES, namespace=NAMESPACE, label_selector=GATEWAY)).items
    lines = [_pod_line(pod, now=clock.time()) for pod in pods if _is_running(pod)]
    ended = [usage for usage in Ledger(settings.data_dir, clock=clock).usage() if not usage.running]
    return Status(
        process=pid,
        api=f"https://{settings.bind}:{settings.api_port}",
        gateway=f"http://{settings.bind}:{settings.gateway_port}",
        https=f"https://{settings.bind}:{settings.https_port}" if settings.https_port else "",
        gateways=_gateway_lines(leases, further.all_of(settings.data_dir), now=clock.time()),
        console=console_url(settings),
        services=[_service_line(service, lines) for service in services],
        pods=lines,
        ended=EndedPods(
            len(ended), sum(usage.seconds for usage in ended), sum(usage.cost for usage in ended)
        ),
    )


def _gateway_lines(leases: list[Object], here: list[Further], *, now: float) -> list[GatewayLine]:
    """Those that have a Lease, and those of this machine that have ended but for their HAProxy."""
    alive = {
        gateway_named(lease): now - parse_rfc3339(renewed_at(lease)) <= duration_of(lease)
        for lease in leases
    }
    known = {one.name: one for one in here}
    lines: list[GatewayLine] = []
    for name in sorted({*alive, *known} - {OWN}):
        one = known.get(name)
        lines.append(
            GatewayLine(
                name=name,
                alive=alive.get(name, False),
                address=one.door.addresses if one is not None else "",
                process=one.running_pid if one is not None else None,
            )
        )
    return lines


def console_url(settings: Settings) -> str:
    """Where the console is, with the token that opens it.

    Raises:
        UserError: the console has never run, or its token is not ours to read.
    """
    try:
        token = settings.console_token_file.read_text().strip()
    except OSError as error:
        raise UserError(f"cannot read {settings.console_token_file}: {error.strerror}") from error
    return f"http://{settings.bind}:{settings.console_port}/?token={token}"


def _service_line(service: Object, pods: list[PodLine]) -> ServiceLine:
    namespace, name = namespace_of(service), name_of(service)
    condition: Object = condition_of(service, "Ready") or {}
    return ServiceLine(
        namespace=namespace,
        name=name,
        url=str(status_of(service).get("url", "")),
        ready=is_condition_true(service, "Ready"),
        reason=str(condition.get("reason", "")),
        pods=sum(pod.service == name and pod.namespace == namespace for pod in pods),
    )


def _pod_line(pod: Object, *, now: float) -> PodLine:
    annotations = annotations_of(pod)
    started = annotations.get(_STARTED)
    seconds = max(now - parse_rfc3339(started), 0.0) if started else 0.0
    return PodLine(
        namespace=namespace_of(pod),
        name=name_of(pod),
        service=labels_of(pod).get(_SERVICE, ""),
        state=_state(pod),
        spec=annotations.get(_SPEC, ""),
        seconds=seconds,
        cost=seconds * float(annotations.get(_PRICE, 0)) / 3600,
    )


def _is_running(pod: Object) -> bool:
    """Whether its meter runs; pods that have ended are in the ledger."""
    return status_of(pod).get("phase") not in ("Succeeded", "Failed")


def _state(pod: Object) -> str:
    if is_deleting(pod):
        return "Terminating"
    if is_condition_true(pod, "Ready"):
        return "Ready"
    return str(status_of(pod).get("phase", "Pending"))


def _print(status: Status) -> None:
    out.print(f"API      {status.api}  (process {status.process})", soft_wrap=True)
    doors = " and ".join(filter(None, (status.gateway, status.https)))
    out.print(f"gateway  {doors}", soft_wrap=True)
    for one in status.gateways:
        where = one.address or "on another machine, or started from another data directory"
        process = f"process {one.process}" if one.process else "no process here"
        state = process if one.alive else f"[yellow]silent, {process}[/]"
        out.print(f"         {one.name}: {where}  ({state})", soft_wrap=True)
    out.print(f"console  {status.console}\n", soft_wrap=True)
    services = _table("SERVICE", "READY", "PODS", "URL")
    for service in status.services:
        ready = "[green]True[/]" if service.ready else f"[yellow]False {service.reason}[/]"
        services.add_row(
            f"{service.namespace}/{service.name}", ready, str(service.pods), service.url
        )
    out.print(services if status.services else "no services: see examples/")
    pods = _table("POD", "STATE", "SPEC", "SECONDS", "COST")
    for pod in status.pods:
        pods.add_row(
            f"{pod.namespace}/{pod.name}",
            pod.state,
            pod.spec or "-",
            f"{pod.seconds:.0f}",
            f"{pod.cost:.4f}",
        )
    if status.pods:
        out.print()
        out.print(pods)
    ended = status.ended
    running_cost = sum(pod.cost for pod in status.pods)
    out.print(
        f"\n{ended.pods} pods have ended after {ended.seconds:.0f} s for {ended.cost:.4f};"
        f" {len(status.pods)} run for {running_cost:.4f} so far (example prices)"
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column in ("PODS", "SECONDS", "COST")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table
