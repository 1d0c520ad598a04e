"""Deploy the seed's Stable Diffusion service and portal, load them, and watch them go to zero.

Exits with 0 only if every step held; the platform stays up for the visitor to go on.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import httpx

from examples.demo.burst import Image, Service, new_client
from examples.demo.display import console, pods_table, progress, requests_table
from examples.demo.manifests import apply, documents
from examples.demo.timeline import Timeline
from tidegate.apis.serving import SERVICES as KNATIVE_SERVICES
from tidegate.cli.commands.status import console_url
from tidegate.cli.records.files import default_data_dir
from tidegate.cli.records.settings import Settings, load
from tidegate.kube.client import Client
from tidegate.kube.errors import TidegateError
from tidegate.kube.objects import Object, condition_of, is_condition_true, name_of
from tidegate.kube.remote import RemoteClient, connect
from tidegate.kube.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICES, Resource

REPOSITORY = Path(__file__).parents[2]
OUT = REPOSITORY / "out"
MANIFESTS = (
    REPOSITORY / "examples/stable-diffusion/knative-sd-demo.yaml",
    REPOSITORY / "examples/portal/portal-server.yaml",
)
SERVICE = "knative-sd-demo"
TOTAL = 20
CONCURRENCY = 5
WINDOW = {"stable-window": "6s", "scale-to-zero-grace-period": "1s"}
# The first deployment of an image also builds its environment.
READY_TIMEOUT_SECONDS = 300.0
ZERO_TIMEOUT_SECONDS = 60.0


class DemoFailedError(Exception):
    """A step did not hold; the message says which and what was seen."""


def start_platform() -> Settings:
    """Start the platform unless it runs, and return its settings."""
    data_dir = default_data_dir()
    if Settings(data_dir).running_pid is None:
        command = [sys.executable, "-m", "tidegate.cli.main", "up", "--detach"]
        if subprocess.run(command, check=False).returncode:
            raise DemoFailedError("the platform did not start")
    return load(data_dir)


async def deploy(client: RemoteClient) -> str:
    """Apply the manifests, wait until both services are ready, and return the model's host."""
    await client.patch(
        CONFIG_MAPS, "config-autoscaler", {"data": WINDOW}, namespace="knative-serving"
    )
    described = ", ".join(f"{key} {value}" for key, value in WINDOW.items())
    console.print(f"  set {described} in the ConfigMap config-autoscaler, to see zero soon")
    for document in [document for path in MANIFESTS for document in documents(path)]:
        verb = await apply(client, document)
        console.print(f"  {document['kind'].lower()} {name_of(document)} {verb}")
    service = await wait_for(client, KNATIVE_SERVICES, SERVICE, "Ready")
    await wait_for(client, DEPLOYMENTS, "portal-server", "Available")
    return str(service["status"]["url"]).partition("://")[2]


async def wait_for(client: Client, resource: Resource, name: str, condition: str) -> Object:
    """Follow one object until a condition is true, showing what it waits for."""
    started = time.monotonic()
    shown = ""
    async with asyncio.timeout(READY_TIMEOUT_SECONDS):
        listing = await client.list(
            resource, namespace="default", field_selector=f"metadata.name={name}"
        )
        current = listing.items[0]
        async with client.watch(
            resource,
            namespace="default",
            resource_version=listing.resource_version,
            field_selector=f"metadata.name={name}",
        ) as events:
            while not is_condition_true(current, condition):
                text = _waiting_for(current, condition)
                if text != shown:
                    shown = text
                    console.print(f"  [dim]{time.monotonic() - started:6.2f} s  {name}: {text}[/]")
                current = (await anext(events)).object
    console.print(f"  {time.monotonic() - started:6.2f} s  {name} is {condition.lower()}")
    return current


def _waiting_for(obj: Object, condition_type: str) -> str:
    condition = condition_of(obj, condition_type) or {}
    return " ".join(
        part for part in (condition.get("reason"), condition.get("message")) if part
    ) or (f"waiting for {condition_type}")


async def one_picture(service: Service) -> Image:
    """Ask for a cat and save it."""
    async with new_client() as http:
        image = await service.generate(http, "a cat", number=0)
    OUT.mkdir(exist_ok=True)
    (OUT / "cat.png").write_bytes(image.png)
    seconds = image.answered - image.sent
    console.print(f"  out/cat.png, {len(image.png)} bytes, from {image.pod} in {seconds:.2f} s")
    return image


async def many_pictures(service: Service, timeline: Timeline) -> list[Image]:
    """The seed's pressure test, its requests checked one by one."""
    first = len(timeline.samples)
    with progress() as bar:
        task = bar.add_task(f"{TOTAL} requests at concurrency {CONCURRENCY}", total=TOTAL)
        images = await service.burst(
            "cat", total=TOTAL, concurrency=CONCURRENCY, done=lambda _: bar.advance(task)
        )
    for image in images:
        (OUT / f"cat-{image.number:02}.png").write_bytes(image.png)
    console.print(requests_table(images))
    most = max((sample.ready for sample in timeline.samples[first:]), default=0)
    used = {image.pod for image in images}
    held = max(image.held for image in images)
    console.print(f"  {len(used)} pods answered, at most {most} were ready at once")
    console.print(f"  as the pods counted, none ever held more than {held} at once")
    check(len(images) == TOTAL, f"only {len(images)} of {TOTAL} requests were answered")
    check(most == CONCURRENCY, f"{most} pods were ready at once, not {CONCURRENCY}")
    check(held == 1, f"a pod held {held} requests at once")
    return images


async def to_zero(timeline: Timeline) -> None:
    """Wait until the last pod has gone."""
    console.print("  no more requests; the pods go when the window has passed")
    try:
        sample = await timeline.wait_until(lambda s: s.total == 0, timeout=ZERO_TIMEOUT_SECONDS)
    except TimeoutError:
        raise DemoFailedError(
            f"{timeline.samples[-1].total} pods are left after {ZERO_TIMEOUT_SECONDS:.0f} s"
        ) from None
    console.print(pods_table(timeline.samples))
    console.print(f"  no pod left at second {sample.seconds:.1f}, and the meter has stopped")


def check(holds: bool, otherwise: str) -> None:
    """Fail the demo unless `holds`."""
    if not holds:
        raise DemoFailedError(otherwise)


def step(title: str) -> None:
    console.print(f"\n[bold]{title}[/]")


async def go_on(client: Client, settings: Settings, service: Service) -> None:
    """Where everything is, and what to try next."""
    portal = await client.get(SERVICES, "portal-server", namespace="default")
    ingress = portal["status"]["loadBalancer"]["ingress"][0]
    rows = [
        ("portal", f"http://{ingress['ip']}/"),
        ("Stable Diffusion", f"http://{service.host}/"),
        ("console", console_url(settings)),
        ("Kubernetes API", f"export KUBECONFIG={settings.kubeconfig}; kubectl get ksvc,pods"),
        ("pods and cost", ".venv/bin/tidegate status"),
        ("stop it all", "make stop"),
    ]
    for title, text in rows:
        console.print(f"  {title:<18} {text}", soft_wrap=True)


async def run() -> None:
    step("Starting the platform")
    settings = start_platform()
    async with connect(settings.kubeconfig) as client:
        step("Deploying the seed's manifests")
        host = await deploy(client)
        service = Service(f"http://{settings.bind}:{settings.gateway_port}", host)
        timeline = Timeline(client, SERVICE)
        following = asyncio.create_task(timeline.run())
        try:
            step("One picture: “a cat”")
            await one_picture(service)
            step(f"Pressure test: {TOTAL} requests, {CONCURRENCY} at once")
            await many_pictures(service, timeline)
            step("Quiet")
            await to_zero(timeline)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        step("It goes on running")
        await go_on(client, settings, service)


def main() -> int:
    """Run the demo; the exit code says whether all of it held."""
    failures: list[BaseException] = []
    try:
        asyncio.run(run())
    except* (DemoFailedError, TidegateError, httpx.HTTPError, OSError) as group:
        failures.extend(group.exceptions)
    for failure in failures:
        console.print(f"[bold red]the demo failed:[/] {failure or type(failure).__name__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
