"""The pages themselves, and what the start page tells of the gateway."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Portal


async def test_the_start_page_has_two_doors(portal: Portal) -> None:
    page = (await portal.client.get("/", headers={"Host": "127.88.0.2"})).text

    assert 'id="door-service" href="//127.88.0.2:8888/"' in page
    assert 'id="door-pressure" href="/pressure-test"' in page


@pytest.mark.parametrize("path", ["/", "/pressure-test"])
async def test_pages_load_nothing_from_elsewhere(portal: Portal, path: str) -> None:
    response = await portal.client.get(path)

    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    assert response.headers["x-content-type-options"] == "nosniff"
    sources = re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', response.text)
    assert sources
    for source in sources:
        assert source.startswith("/static/")
        assert (await portal.client.get(source)).status_code == 200


async def test_scripts_import_only_what_is_there(portal: Portal) -> None:
    script = (await portal.client.get("/static/pressure.js")).text
    for module in re.findall(r'from "\./([\w.]+)"', script):
        assert (await portal.client.get(f"/static/{module}")).status_code == 200


async def test_the_form_has_the_limits_of_the_settings(portal: Portal) -> None:
    page = (await portal.client.get("/pressure-test")).text

    assert re.search(r'id="concurrency"[^>]*max="5" value="5"', page)
    assert re.search(r'id="total"[^>]*max="200" value="20"', page)


async def test_the_gateway_is_told(portal: Portal) -> None:
    answer = (await portal.client.get("/api/gateway")).json()

    assert answer["found"]
    assert answer["host"] == "knative-sd-demo.default.example.com"
    assert answer["address"].startswith("127.0.0.1:")


async def test_the_gateway_is_told_to_be_missing(portal: Portal) -> None:
    portal.kubernetes.forbidden = {"ingresses"}

    answer = (await portal.client.get("/api/gateway")).json()

    assert answer == {
        "found": False,
        "reason": "The Kubernetes API refuses: ingresses is forbidden",
    }
