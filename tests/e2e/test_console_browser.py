"""The console in Chromium as a stranger meets it: empty, full, on a phone, by keys, cut off."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.browser import PHONE, WIDE, running_browser, screenshot, sideways
from tests.e2e.platform import Platform, knative_service, running_platform

SERVICES = 50
LONG = f"{'a' * 20}-very-long-name-of-a-service-{'b' * 14}"
LOST = "registry.example.com/a/path/to/an/image/that/is/nowhere@sha256:" + "0" * 64
_OVERLAPS = """
() => [...document.querySelectorAll(".list tbody tr, .figures, .head, .top")].flatMap((row) => {
    const texts = [...row.children].filter((cell) => cell.getClientRects().length);
    return texts.filter((cell) => cell.scrollWidth > cell.clientWidth + 1
        || [...cell.querySelectorAll("*")].some((part) =>
            part.getBoundingClientRect().right > cell.getBoundingClientRect().right + 1
            && !part.closest(".visually-hidden, .skip")))
        .map((cell) => cell.textContent.trim().slice(0, 60));
})
"""
# As WCAG 2 has it, over what is behind the text.
_CONTRAST = """
(selector) => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => parts(colour).slice(0, 3).map((value) => value / 255)
        .map((value) => value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4)
        .reduce((sum, value, index) => sum + value * [.2126, .7152, .0722][index], 0);
    const [name, pseudo] = selector.split("::");
    const element = document.querySelector(name);
    const ink = getComputedStyle(element, pseudo ? `::${pseudo}` : null).color;
    let ground = element;
    while (ground && (parts(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0) {
        ground = ground.parentElement;
    }
    const two = [light(ink), light(getComputedStyle(ground).backgroundColor)].sort();
    return (two[1] + .05) / (two[0] + .05);
}
"""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    with running_platform(tmp_path_factory.mktemp("console")) as platform:
        yield platform


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def full(empty: Platform) -> Platform:
    """The same with many services, one of a long name and one that cannot come up."""
    platform = empty
    platform.configure_autoscaler(allow_zero_initial_scale="true")
    prefix = "autoscaling.knative.dev/"
    asleep = {f"{prefix}initial-scale": "0"}
    awake = {f"{prefix}min-scale": "1"}
    texts = [
        knative_service(f"service-{number:02}", annotations=asleep)
        for number in range(SERVICES - 2)
    ]
    texts.append(knative_service(LONG, annotations=awake))
    texts.append(knative_service("broken", image=LOST, annotations=awake))
    items = [json.loads(text) for text in texts]
    platform.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    platform.wait_ready(f"ksvc/{LONG}")
    return platform


def opened(
    browser: Browser, platform: Platform, path: str = "/", *, width: int = WIDE, dark: bool = False
) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 740}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    token = (platform.data_dir / "console-token").read_text().strip()
    page.goto(f"http://127.0.0.1:{platform.console_port}/?token={token}")
    if path != "/":
        page.goto(f"http://127.0.0.1:{platform.console_port}{path}")
    expect(page.locator("#link-state")).to_have_attribute("data-state", "live")
    return page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_empty_platform_says_what_to_do_and_all_of_it_can_be_read(
    empty: Platform, browser: Browser, *, dark: bool
) -> None:
    page = opened(browser, empty, width=PHONE, dark=dark)
    if page.locator("tbody tr").count():
        pytest.skip("another test has filled it")
    screenshot(page, f"console-empty-{'dark' if dark else 'light'}")
    code = page.locator(".empty pre")
    assert code.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
    assert sideways(page) == 0
    for text in (".empty p", ".figure dt", "#query::placeholder", "#link-state", "nav a"):
        assert page.evaluate(_CONTRAST, text) >= 4.5, text
    page.context.close()


@pytest.mark.parametrize("path", ["/", f"/services/default/{LONG}", "/services/default/broken"])
@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_nothing_lies_over_anything_else_nor_outside_of_the_window(
    full: Platform, browser: Browser, path: str, width: int
) -> None:
    page = opened(browser, full, path, width=width, dark=True)
    if path.endswith("broken"):
        expect(page.locator("#main")).to_contain_text("BackOff")
    screenshot(page, f"console-{Path(path).name[:8] or 'list'}-{width}")
    assert sideways(page) == 0
    assert page.evaluate(_OVERLAPS) == []
    page.context.close()


def test_one_long_failure_does_not_fill_the_list(full: Platform, browser: Browser) -> None:
    page = opened(browser, full, width=PHONE)
    expect(page.locator("tbody tr")).to_have_count(SERVICES)
    why = page.locator("#row-default-broken .why")
    expect(why).to_contain_text("nowhere")
    lines = why.evaluate("e => e.clientHeight / parseFloat(getComputedStyle(e).lineHeight)")
    assert lines <= 3.1
    # All of it is one click away.
    page.locator("#row-default-broken a.name").click()
    expect(page.locator("#main")).to_contain_text("tidegate image add")
    page.context.close()


def test_a_page_whose_scripts_come_late_is_live(full: Platform, browser: Browser) -> None:
    page = opened(browser, full)
    late: list[Route] = []
    page.route("**/hx-sse.min.js", lambda route: late.append(route))
    with page.expect_request("**/hx-sse.min.js"):
        page.goto(page.url, wait_until="commit")
    page.wait_for_function("() => window.htmx && document.querySelector('table')")
    (script,) = late
    script.continue_()
    expect(page.locator("#link-state")).to_have_attribute("data-state", "live")


def test_the_keyboard_alone_finds_a_service(full: Platform, browser: Browser) -> None:
    page = opened(browser, full)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type("service-17")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#link-state")).to_have_attribute("data-state", "live")
    name = page.locator("tbody a.name")
    for _ in range(9):
        page.keyboard.press("Tab")
        if name.evaluate("element => element === document.activeElement"):
            break
    expect(name).to_be_focused()
    assert name.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("service-17")
    page.context.close()


def test_a_page_whose_platform_is_gone_says_how_old_it_is_wherever_it_is_scrolled_to(
    full: Platform, browser: Browser
) -> None:
    page = opened(browser, full, width=PHONE)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    state = page.locator("#link-state")
    full.end_control_plane()
    try:
        expect(state).to_have_attribute("data-state", "lost")
        expect(state).to_contain_text("all is as of")
        expect(state).to_be_in_viewport(ratio=1)
        said = state.text_content()
        # Tries that fail do not make it younger.
        with page.expect_event("requestfailed"):
            pass
        assert state.text_content() == said
        assert float(page.locator("[data-live]").evaluate("e => getComputedStyle(e).opacity")) < 1
        assert sideways(page) == 0
    finally:
        full.up()
    expect(state).to_have_attribute("data-state", "live")
    expect(state).to_have_text("Live")
    expect(page.locator("tbody tr")).to_have_count(SERVICES)
    page.context.close()
