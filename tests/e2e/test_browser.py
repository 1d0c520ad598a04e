"""The pages of a running platform in Chromium: the portal, the service's own page, the console.

One platform with the two published manifests, unchanged, for all of them; a visitor's clicks and
the pictures that come of them.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import itertools
import re
import socket
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import (
    PHONE,
    mean_difference,
    record,
    recorded,
    running_browser,
    screenshot,
    sideways,
    thumbnails,
    visitor,
)
from tests.e2e.platform import REPOSITORY, Platform, running_platform

SERVICE = "knative-sd-demo"
MANIFESTS = (
    REPOSITORY / "examples/stable-diffusion/knative-sd-demo.yaml",
    REPOSITORY / "examples/portal/portal-server.yaml",
)
CONCURRENCY = 5
TOTAL = 20
# More than come back before the button is pressed.
MANY = 200
# Of 255: pictures of different seeds differ by more than this, whatever the model draws.
SEEDS_DIFFER_BY = 0.5

# The first deployment on a machine also builds the images' environments.
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Site:
    """Where a visitor finds the platform's pages."""

    platform: Platform
    portal: str
    service_page: str
    console: str
    host: str

    @property
    def console_login(self) -> str:
        token = (self.platform.data_dir / "console-token").read_text().strip()
        return f"{self.console}/?token={token}"

    @property
    def console_service(self) -> str:
        return f"{self.console}/services/default/{SERVICE}"

    def picture(self, prompt: str, *, seed: int, steps: int = 20) -> tuple[bytes, str]:
        """A picture through the gateway without a cookie, and the pod that made it."""
        with httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.post(
                f"{self.platform.gateway}/sdapi/v1/txt2img",
                headers={"Host": self.host},
                json={"prompt": prompt, "seed": seed, "steps": steps},
            )
        assert answer.status_code == 200, answer.text
        return base64.b64decode(answer.json()["images"][0]), answer.headers["x-pod"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    skip_without_port_80()
    directory = tmp_path_factory.mktemp("site")
    with running_platform(directory, images=(REPOSITORY / "images",)) as platform:
        platform.configure_autoscaler(stable_window="6s")
        for manifest in MANIFESTS:
            platform.kubectl("apply", "-f", str(manifest))
        for condition, name in (
            ("condition=Ready", f"ksvc/{SERVICE}"),
            ("condition=Available", "deployment/portal-server"),
            ("jsonpath={.status.loadBalancer.ingress}", "service/portal-server"),
        ):
            platform.kubectl("wait", name, f"--for={condition}", "--timeout=240s", timeout=250)
        balancer = platform.get("service/portal-server")["status"]["loadBalancer"]
        address = balancer["ingress"][0]["ip"]
        yield Site(
            platform,
            portal=f"http://{address}",
            service_page=f"http://{address}:8888",
            console=f"http://127.0.0.1:{platform.console_port}",
            host=urlsplit(platform.get(f"ksvc/{SERVICE}")["status"]["url"]).hostname or "",
        )


def skip_without_port_80() -> None:
    """The portal's manifest asks for port 80, which not every user may listen on."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        try:
            probe.bind(("127.0.0.1", 80))
        except PermissionError:
            pytest.skip("port 80 needs root, or sysctl net.ipv4.ip_unprivileged_port_start=80")


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Generator[Page]:
    with visitor(browser) as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def pressure_test(site: Site, browser: Browser) -> Generator[Page]:
    """The page of the pressure test, open from one run to the next."""
    with visitor(browser) as context:
        page = context.new_page()
        page.goto(f"{site.portal}/pressure-test")
        yield page


def test_the_start_page_has_two_doors_and_finds_the_gateway(site: Site, page: Page) -> None:
    page.goto(site.portal)
    gateway = page.locator("#gateway")
    expect(gateway).to_have_attribute("data-state", "found")
    expect(gateway).to_contain_text(site.host)
    expect(gateway).to_contain_text(f":{site.platform.gateway_port}")

    page.locator("#door-service").click()
    expect(page).to_have_url(f"{site.service_page}/")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    page.go_back()
    page.locator("#door-pressure").click()
    expect(page).to_have_url(f"{site.portal}/pressure-test")
    expect(page.get_by_role("button", name="Start Pressure Test")).to_be_enabled()


def test_the_url_in_the_status_opens_in_the_browser_and_in_curl(site: Site, page: Page) -> None:
    url = site.platform.get(f"ksvc/{SERVICE}")["status"]["url"]
    page.goto(url)
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    fetched = subprocess.run(
        ["curl", "--silent", "--fail", "--noproxy", "*", "--max-time", "30", url],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Generate" in fetched.stdout


def test_a_pressure_test_brings_five_pods_and_as_many_pictures_as_asked(
    pressure_test: Page,
) -> None:
    page = pressure_test
    start_pressure_test(page, total=TOTAL)
    done = page.locator("#tiles > li[data-state=done]")
    expect(done.first).to_be_visible()

    page.reload()
    expect(page.locator("#tiles > li")).to_have_count(TOTAL)
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator("#prompt")).to_be_disabled()
    expect(page.locator("#prompt")).to_have_value("cat")

    expect(page.locator("#pods > li[data-state=ready]")).to_have_count(CONCURRENCY)
    pods = set(page.locator("#pods .short").all_inner_texts())
    expect(done).to_have_count(TOTAL)
    expect(page.locator("#start")).to_be_visible()
    assert len(pods) == CONCURRENCY
    assert set(page.locator("#tiles .label").all_inner_texts()) <= pods
    check_figures(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('#tiles img.image')]"
        ".every(image => image.complete && image.naturalWidth > 0)"
    )
    check_all_differ(page, page.locator("#tiles img.image"), count=TOTAL)
    screenshot(page, "pressure-test")

    page.locator("#tiles button.open").first.click()
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    expect(viewer).to_contain_text("cat")
    expect(viewer).to_contain_text(SERVICE)
    viewer.get_by_role("button", name="Close").click()
    expect(viewer).to_be_hidden()


def test_a_pressure_test_can_be_stopped(pressure_test: Page) -> None:
    page = pressure_test
    start_pressure_test(page, total=MANY)
    page.locator("#stop").click()
    expect(page.locator("#start")).to_be_visible()
    sent = page.locator("#tiles > li[data-state=done]").count()
    assert CONCURRENCY <= sent < MANY
    expect(page.locator("#failed")).to_have_text("0")
    expect(page.locator("#done")).to_have_text(str(sent))
    expect(page.locator("#tiles > li[data-state=skipped]")).to_have_count(MANY - sent)


def test_a_refusal_of_the_api_is_shown_and_so_is_why_a_request_failed(
    site: Site, page: Page
) -> None:
    binding = "clusterrolebinding/pod-list-cluster-role-binding"
    site.platform.kubectl("delete", binding)
    try:
        page.goto(f"{site.portal}/pressure-test")
        expect(page.locator("#pods-error")).to_contain_text("forbidden")
        # The portal remembers for some seconds where the gateway is.
        while page.evaluate("async () => (await (await fetch('/api/gateway')).json()).found"):
            page.wait_for_timeout(100)
        page.locator("#total").fill("1")
        page.locator("#start").click()
        failed = page.locator("#tiles > li[data-state=failed]")
        expect(failed).to_contain_text("The Kubernetes API refuses")
        expect(page.locator("#failed")).to_have_text("1")
    finally:
        site.platform.kubectl("apply", "-f", str(MANIFESTS[1]))
    expect(page.locator("#pods-error")).to_be_hidden()


def start_pressure_test(page: Page, *, total: int) -> None:
    """Fill in the form, press the button, and wait until as many requests fly as may."""
    page.locator("#prompt").fill("cat")
    page.locator("#concurrency").fill(str(CONCURRENCY))
    page.locator("#total").fill(str(total))
    page.locator("#start").click()
    expect(page.locator("#of")).to_have_text(f" of {total}")
    expect(page.locator("#in-flight")).to_have_text(str(CONCURRENCY))


def check_figures(page: Page) -> None:
    """The figures of a finished run in which nothing failed."""
    expect(page.locator("#done")).to_have_text(str(TOTAL))
    expect(page.locator("#of")).to_have_text(f" of {TOTAL}")
    expect(page.locator("#failed")).to_have_text("0")
    expect(page.locator("#in-flight")).to_have_text("0")
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#throughput")).to_have_text(re.compile(r"^\d+\.\d+/(s|min)$"))
    percentiles = [
        float(page.locator(f"#{name}").inner_text().removesuffix(" s"))
        for name in ("p50", "p90", "p95", "p99")
    ]
    assert percentiles == sorted(percentiles)
    assert percentiles[0] > 0


def check_all_differ(page: Page, images: Locator, *, count: int) -> None:
    """There are `count` images, and no two show the same picture."""
    sources = [image.get_attribute("src") or "" for image in images.all()]
    assert len(sources) == count
    for one, other in itertools.combinations(thumbnails(page, sources), 2):
        assert mean_difference(one, other) > SEEDS_DIFFER_BY


def test_a_session_on_the_service_page_stays_with_its_pod(site: Site, page: Page) -> None:
    wake_two_pods(site)
    page.goto(site.service_page)
    page.locator("#prompt").fill("cat")
    record(page, "status")
    record(page, "bar", "value")
    makers = [generate(page, pictures=number) for number in (1, 2, 3)]
    assert len(set(makers)) == 1

    assert any(re.match(r"Step \d+ of 20", text) for text in recorded(page, "status"))
    assert any(0 < float(value) < 1 for value in recorded(page, "bar"))
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies["sd"]["httpOnly"]
    assert makers[0] in cookies["sd"]["value"]
    assert picture_size(page) == [512, 512]
    parameters = page.locator("#infotext")
    expect(parameters).to_contain_text(re.compile(r"^cat\s"))
    expect(parameters).to_contain_text(re.compile(r"Steps: 20, .*Seed: \d+, Size: 512x512"))
    with page.expect_download() as download:
        page.locator("#download").click()
    saved = download.value.path().read_bytes()
    assert saved.startswith(b"\x89PNG")
    assert b"tEXtparameters\0cat\nSteps: 20" in saved
    check_all_differ(page, page.locator("#gallery img"), count=3)
    screenshot(page, "stable-diffusion")


def test_the_fields_of_the_service_page_are_what_is_drawn(site: Site, page: Page) -> None:
    page.goto(site.service_page)
    fields = {"prompt": "cat", "steps": "6", "width": "256", "height": "192", "seed": "7"}
    for name, value in fields.items():
        page.locator(f"#{name}").fill(value)
    parameters = page.locator("#infotext")
    for number, negative in ((1, "dog"), (2, "dog"), (3, "")):
        page.locator("#negative").fill(negative)
        generate(page, pictures=number)
    expect(parameters).to_contain_text(re.compile(r"Steps: 6, .*Seed: 7, Size: 256x192"))
    expect(parameters).not_to_contain_text("Negative prompt")
    assert picture_size(page) == [256, 192]
    sources = [image.get_attribute("src") or "" for image in page.locator("#gallery img").all()]
    without, again, first = thumbnails(page, sources)
    assert first == again != without


def test_a_picture_in_work_can_be_dropped(site: Site, page: Page) -> None:
    page.goto(site.service_page)
    page.locator("#prompt").fill("cat")
    page.locator("#steps").fill("150")
    page.get_by_role("button", name="Generate").click()
    status = page.locator("#status")
    expect(status).to_contain_text("of 150")
    page.get_by_role("button", name="Stop").click()
    expect(status).to_have_text("Stopped.")
    expect(page.locator("#gallery img")).to_have_count(0)
    page.locator("#steps").fill("20")
    generate(page, pictures=1)


def generate(page: Page, *, pictures: int) -> str:
    """Press Generate and wait until the gallery has `pictures`; the pod that made the last."""
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#gallery img")).to_have_count(pictures)
    made = re.search(r"by (\S+)", page.locator("#status").inner_text())
    assert made
    return made[1]


def picture_size(page: Page) -> list[int]:
    """The natural width and height of the picture on the service's page."""
    return page.locator("#picture").evaluate("image => [image.naturalWidth, image.naturalHeight]")


def wake_two_pods(site: Site) -> None:
    """Ask for pictures at once until two pods have answered, so that a session has a choice."""
    makers: set[str] = set()
    with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
        for _ in range(10):
            seeds = range(CONCURRENCY)
            answers = pool.map(lambda seed: site.picture("cat", seed=seed), seeds)
            makers.update(pod for _, pod in answers)
            if len(makers) > 1:
                return
    raise AssertionError(f"all pictures came from {makers}")


def test_a_cat_is_no_car(site: Site, page: Page) -> None:
    """On one ground, two cats and two cars are more alike than any cat and any car."""
    asked = [("cat", 7), ("cat", 8), ("car", 7), ("car", 8), ("cat", 7)]
    urls = [
        data_url(site.picture(f"{thing} on a white background", seed=seed)[0])
        for thing, seed in asked
    ]
    assert urls[0] == urls[4]
    cat, other_cat, car, other_car = thumbnails(page, urls[:4])
    alike = max(mean_difference(cat, other_cat), mean_difference(car, other_car))
    unlike = min(
        mean_difference(one, other) for one in (cat, other_cat) for other in (car, other_car)
    )
    assert alike < unlike


def data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def test_the_console_shows_the_service_and_its_charts(site: Site, page: Page) -> None:
    site.picture("cat", seed=1)
    assert page.request.get(site.console).status == 401
    page.goto(site.console_login)
    assert "token" not in page.url
    page.get_by_role("link", name=SERVICE, exact=True).click()
    expect(page).to_have_url(site.console_service)
    expect(page.get_by_role("heading", level=1)).to_contain_text(SERVICE)
    requests = page.locator("[data-chart=requests]")
    expect(requests.locator("canvas")).to_be_visible()
    expect(requests.locator(".plot")).to_have_attribute("aria-label", re.compile(r"2xx \d"))
    expect(page.locator("#pods")).to_contain_text(f"{SERVICE}-00001-deployment")
    expect(page.locator("#conditions")).to_contain_text("RoutesReady")
    screenshot(page, "console")


@pytest.mark.parametrize(
    "address",
    [
        "{0.portal}/",
        "{0.portal}/pressure-test",
        "{0.service_page}/",
        "{0.console_login}",
        "{0.console_service}",
    ],
    ids=["start", "pressure-test", "service", "console", "console-service"],
)
def test_a_phone_needs_no_scrolling_sideways(site: Site, browser: Browser, address: str) -> None:
    with visitor(browser, width=PHONE) as context:
        page = context.new_page()
        if "console" in address:
            page.goto(site.console_login)
        page.goto(address.format(site))
        expect(page.get_by_role("heading").first).to_be_visible()
        assert sideways(page) == 0
        wide = (
            "elements => elements.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText)"
        )
        assert page.locator(".figure").evaluate_all(wide) == []


def test_what_has_no_route_is_not_said_to_sleep(site: Site, page: Page) -> None:
    address = f"{site.portal}/pressure-test"
    page.goto(address)
    expect(page.locator("#pods-none")).to_contain_text("wakes it")
    missing = {"found": False, "reason": "The service has no route yet."}
    page.route("**/api/gateway", lambda route: route.fulfill(json=missing))
    page.goto(address)
    expect(page.locator("#gateway-notice")).to_have_text(missing["reason"])
    expect(page.locator("#pods-none")).to_have_text("No pods")
