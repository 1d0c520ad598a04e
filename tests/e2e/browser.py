"""Debian's Chromium, driven as a visitor would, and a look at the pictures that it shows.

Playwright only drives: the browser is the system's package, for nothing may be downloaded when
the tests run. What a page complains about (an exception, a failed load, a request that leaves
this machine) fails the test that opened it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

WIDE = 1280
# The narrowest that is still common.
PHONE = 360
PATIENCE_MILLISECONDS = 30_000.0

_THUMBNAIL_SIDE = 32
_HEIGHTS = {WIDE: 900, PHONE: 740}

_THUMBNAILS = """
([sources, side]) => Promise.all(sources.map(async (source) => {
    const picture = await createImageBitmap(await (await fetch(source)).blob());
    const context = new OffscreenCanvas(side, side).getContext("2d");
    context.drawImage(picture, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    return [...data.filter((_, index) => index % 4 < 3)];
}))
"""

# What an element's text or value was over time, without a chance to miss a short moment.
_RECORD = """
([name, attribute]) => {
    const element = document.getElementById(name);
    const seen = window.recorded ??= {};
    seen[name] = [];
    const note = () => seen[name].push(attribute ? element.getAttribute(attribute)
        : element.textContent);
    new MutationObserver(note).observe(element,
        { attributes: true, childList: true, characterData: true, subtree: true });
}
"""


@contextlib.contextmanager
def running_browser() -> Generator[Browser]:
    """Chromium without a window."""
    executable = shutil.which("chromium")
    assert executable, "Chromium is missing; scripts/install-test-tools installs it"
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-proxy-server", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visitor(browser: Browser, *, width: int = WIDE) -> Generator[BrowserContext]:
    """A visitor with cookies of their own; fails in the end if a page complained."""
    context = browser.new_context(
        viewport={"width": width, "height": _HEIGHTS[width]}, color_scheme="light"
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(f"exception: {error.error}"))
    context.on(
        "console",
        lambda line: complaints.append(f"console: {line.text}") if line.type == "error" else None,
    )
    context.on(
        "request",
        lambda request: (
            complaints.append(f"leaves this machine: {request.url}")
            if not _is_local(request.url)
            else None
        ),
    )
    try:
        yield context
    finally:
        context.close()
    assert not complaints, complaints


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme in {"data", "blob", "about"}:
        return True
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def thumbnails(page: Page, sources: list[str]) -> list[bytes]:
    """The pixels of pictures, each scaled to 32x32, as RGB.

    Args:
        page: does the decoding, so that the pictures are what a browser makes of them.
        sources: URLs that the page may fetch.
    """
    return [bytes(pixels) for pixels in page.evaluate(_THUMBNAILS, [sources, _THUMBNAIL_SIDE])]


def mean_difference(one: bytes, other: bytes) -> float:
    """How far two thumbnails are apart: mean over pixels and colours, 0 (the same) to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def record(page: Page, name: str, attribute: str = "") -> None:
    """Note from now on each text (or attribute) that the element with id `name` takes."""
    page.evaluate(_RECORD, [name, attribute])


def recorded(page: Page, name: str) -> list[str]:
    """What `record` has noted since."""
    return page.evaluate("name => window.recorded[name]", name)


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate(
        "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def screenshot(page: Page, name: str) -> None:
    """Save what the page shows as NAME.png in $TIDEGATE_SCREENSHOTS, if that is set."""
    directory = os.environ.get("TIDEGATE_SCREENSHOTS")
    if directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)
