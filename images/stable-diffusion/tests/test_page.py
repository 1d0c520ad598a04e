"""The page's stream: progress with previews, then pictures, in one answer."""

from __future__ import annotations

import json

from a1111 import POD, Client, opened


def stream(client: Client, **fields: object) -> list[dict]:
    with client.http.stream("POST", "/generate", json={"prompt": "cat", **fields}) as answer:
        assert answer.status_code == 200
        return [json.loads(line) for line in answer.iter_lines()]


def test_the_page_and_its_parts_are_served(client: Client) -> None:
    page = client.http.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    for part in ("static/style.css", "static/page.js"):
        assert part in page.text
        assert client.http.get(f"/{part}").status_code == 200
    assert client.http.get("/static/../app.py").status_code == 404


def test_a_picture_comes_with_its_progress(client: Client) -> None:
    events = stream(client, seed=1, steps=60, n_iter=2)
    kinds = [event["type"] for event in events]
    assert kinds[0] == "waiting"
    assert kinds[-3:] == ["image", "image", "done"]
    progress = [event["progress"] for event in events if event["type"] == "progress"]
    assert progress == sorted(progress)
    previews = [event["preview"] for event in events if event.get("preview")]
    assert len(previews) >= 2
    assert opened(previews[0]).size == (128, 128)
    first, second = events[-3:-1]
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["pod"] == POD
    # The same picture as through the API.
    assert client.txt2img("cat", seed=1, steps=60)["images"][0] == first["image"]
    assert opened(first["image"]).text["parameters"] == first["infotext"]


def test_a_bad_field_is_refused_by_its_name(client: Client) -> None:
    answer = client.http.post("/generate", json={"width": 3})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "width"]
