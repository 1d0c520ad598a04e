"""The API over real HTTP, as a client of AUTOMATIC1111's web UI uses it."""

from __future__ import annotations

import base64
import threading
from typing import Any

import numpy as np
import pytest
from a1111 import POD, Client, Running, info_of, opened, png_text
from PIL import Image, ImageChops


def distance(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference of the pixels, 0 to 255."""
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean())


def test_a_picture_has_the_size_and_parameters_asked_for(client: Client) -> None:
    answer = client.txt2img(
        "a red heart", negative_prompt="blue", seed=5, steps=6, width=256, height=192
    )
    picture = opened(answer["images"][0])
    assert picture.format == "PNG"
    assert picture.size == (256, 192)
    lines = picture.text["parameters"].split("\n")
    assert lines[:2] == ["a red heart", "Negative prompt: blue"]
    assert lines[2].startswith(
        "Steps: 6, Sampler: DPM++ 2M, CFG scale: 7.0, Seed: 5, Size: 256x192, Model hash: "
    )
    assert answer["parameters"]["prompt"] == "a red heart"
    info = info_of(answer)
    assert info["seed"] == 5
    assert info["infotexts"] == [picture.text["parameters"]]


def test_the_same_seed_gives_the_same_picture_and_others_differ(client: Client) -> None:
    first = client.txt2img("cat", seed=11, steps=8)["images"]
    assert client.txt2img("cat", seed=11, steps=8)["images"] == first
    assert client.txt2img("cat", seed=12, steps=8)["images"] != first
    assert distance(opened(first[0]), client.picture("automobile", seed=11, steps=8)) > 5


def test_a_random_seed_is_told(client: Client) -> None:
    answer = client.txt2img("dog", steps=2, width=64, height=64)
    seed = info_of(answer)["seed"]
    assert seed >= 0
    assert (
        client.txt2img("dog", steps=2, width=64, height=64, seed=seed)["images"] == answer["images"]
    )


def test_a_batch_counts_its_seeds_up(client: Client) -> None:
    answer = client.txt2img("dog", seed=7, steps=2, width=64, height=64, batch_size=2, n_iter=2)
    assert info_of(answer)["all_seeds"] == [7, 8, 9, 10]
    assert len(set(answer["images"])) == 4
    alone = client.txt2img("dog", seed=9, steps=2, width=64, height=64)
    assert alone["images"][0] == answer["images"][2]


def test_every_listed_sampler_works(client: Client) -> None:
    listed = client.get("samplers")
    assert {"Euler a", "Euler", "DDIM", "DPM++ 2M"} <= {s["name"] for s in listed}
    for sampler in listed:
        for name in (sampler["name"], *sampler["aliases"]):
            answer = client.txt2img("fish", seed=1, steps=2, width=64, height=64, sampler_name=name)
            assert info_of(answer)["sampler_name"] == sampler["name"]


def test_the_older_name_of_the_sampler_field_works(client: Client) -> None:
    answer = client.txt2img("fish", steps=2, width=64, height=64, sampler_index="Euler")
    assert info_of(answer)["sampler_name"] == "Euler"


def test_a_negative_prompt_and_guidance_change_the_picture(client: Client) -> None:
    plain = client.picture("red heart", seed=3, steps=8)
    assert (
        distance(plain, client.picture("red heart", seed=3, steps=8, negative_prompt="heart")) > 1
    )
    assert distance(plain, client.picture("red heart", seed=3, steps=8, cfg_scale=1)) > 0.2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("steps", 151),
        ("steps", "many"),
        ("width", 63),
        ("width", 100),
        ("height", 4096),
        ("cfg_scale", 0.5),
        ("cfg_scale", 31),
        ("batch_size", 0),
        ("n_iter", 1000),
        ("seed", -2),
        ("prompt", ["cat"]),
        ("sampler_name", "Euler z"),
        ("override_settings", {"sd_model_checkpoint": "other"}),
    ],
)
def test_a_bad_field_is_refused_by_its_name(client: Client, field: str, value: Any) -> None:
    answer = client.post("txt2img", {field: value})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", field]


def test_too_many_pictures_in_all_are_refused(client: Client) -> None:
    answer = client.post("txt2img", {"batch_size": 8, "n_iter": 9})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "n_iter"]


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    answer = client.http.post("/sdapi/v1/txt2img", content=b"{prompt:")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "json_invalid"
    assert client.http.post("/sdapi/v1/txt2img", content=b"[1]").status_code == 422


def test_null_and_unknown_fields_do_no_harm(client: Client) -> None:
    answer = client.txt2img(
        "cat", steps=2, width=64, height=64, sampler_name=None, restore_faces=True, tiling=None
    )
    assert len(answer["images"]) == 1


@pytest.mark.parametrize(
    "prompt", ["", "猫 кот \u0000", "🐱", "x" * 4000, "(a:1.3) [b] <lora:c:1> \\"]
)
def test_any_words_make_a_picture(client: Client, prompt: str) -> None:
    answer = client.txt2img(prompt, steps=2, width=64, height=64)
    found = client.post("png-info", {"image": answer["images"][0]}).json()
    assert found["info"] == info_of(answer)["infotexts"][0]


def test_png_info_reads_the_parameters_back(client: Client) -> None:
    text = client.txt2img(
        "a cat, sitting\nupright", negative_prompt="dog", seed=4, steps=3, width=64, height=128
    )
    found = client.post("png-info", {"image": "data:image/png;base64," + text["images"][0]}).json()
    assert found["items"]["parameters"] == found["info"]
    fields = found["parameters"]
    assert fields["Prompt"] == "a cat, sitting\nupright"
    assert fields["Negative prompt"] == "dog"
    assert (fields["Seed"], fields["Steps"], fields["Size-1"], fields["Size-2"]) == (
        "4",
        "3",
        "64",
        "128",
    )
    bare = client.post("png-info", {"image": png_text()}).json()
    assert (bare["info"], bare["parameters"]) == ("", {})
    assert client.post("png-info", {"image": "AAAA"}).json()["detail"][0]["loc"] == [
        "body",
        "image",
    ]


def test_img2img_goes_from_the_picture_as_far_as_told(client: Client) -> None:
    start = client.txt2img("sunflower", seed=2, width=128, height=128)["images"][0]
    fields = {"prompt": "red heart", "init_images": [start], "seed": 9, "width": 128, "height": 128}

    def at(strength: float) -> float:
        answer = client.post("img2img", {**fields, "denoising_strength": strength})
        assert answer.json()["parameters"]["init_images"] is None
        return distance(opened(start), opened(answer.json()["images"][0]))

    near, middle, far = at(0), at(0.5), at(1)
    assert near < 12
    assert near < middle < far


@pytest.mark.parametrize("images", [[], ["AAAA"], ["http://127.0.0.1/x.png"], None, "x"])
def test_img2img_wants_a_picture(client: Client, images: Any) -> None:
    answer = client.post("img2img", {"init_images": images})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", "init_images"]


def test_a_picture_too_large_to_read_is_refused(client: Client) -> None:
    answer = client.post("img2img", {"init_images": [png_text((5000, 5000))]})
    assert answer.status_code == 422
    assert "larger" in answer.json()["detail"][0]["msg"]


def test_progress_shows_the_picture_in_work_and_interrupt_ends_it(server: Running) -> None:
    client = server.client
    assert client.get("progress")["current_image"] is None
    answers: list[dict[str, Any]] = []
    fields = {"seed": 1, "steps": 150, "sampler_name": "Heun", "n_iter": 8}
    sending = threading.Thread(target=lambda: answers.append(client.txt2img("cat", **fields)))
    sending.start()
    server.until_sampling(20)
    now = client.get("progress")
    assert 0 < now["progress"] < 1
    assert now["eta_relative"] > 0
    assert now["state"]["job_count"] == 8
    assert now["state"]["sampling_steps"] == 150
    assert opened(now["current_image"]).size == (128, 128)
    client.post("interrupt").raise_for_status()
    sending.join(20)
    assert len(answers[0]["images"]) == 1
    assert info_of(answers[0])["interrupted"] is True
    assert client.get("progress")["progress"] == 0


def test_skip_goes_on_with_the_next_picture(server: Running) -> None:
    client = server.client
    answers: list[dict[str, Any]] = []
    fields = {"seed": 1, "steps": 150, "sampler_name": "Heun", "n_iter": 2}
    sending = threading.Thread(target=lambda: answers.append(client.txt2img("cat", **fields)))
    sending.start()
    server.until_sampling(2)
    client.post("skip").raise_for_status()
    while client.get("progress?skip_current_image=true")["state"]["job_no"] != 1:
        pass
    server.until_sampling(2)
    client.post("skip").raise_for_status()
    sending.join(20)
    assert len(answers[0]["images"]) == 2


def test_options_are_kept_and_checked(client: Client) -> None:
    options = client.get("options")
    model = client.get("sd-models")[0]
    assert options["sd_model_checkpoint"] == model["title"]
    client.post(
        "options", {"live_previews_enable": False, "sd_model_checkpoint": model["model_name"]}
    ).raise_for_status()
    assert client.get("options") == {**options, "live_previews_enable": False}
    client.post("options", {"live_previews_enable": True}).raise_for_status()
    for name, value in (("sd_model_checkpoint", "v1-5"), ("samples_format", "bmp"), ("no_such", 1)):
        answer = client.post("options", {name: value})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", name]


def test_models_and_flags(client: Client) -> None:
    (model,) = client.get("sd-models")
    assert model["title"] == f"{model['model_name']} [{model['hash']}]"
    assert model["sha256"].startswith(model["hash"])
    assert client.get("cmd-flags")["host"] == "127.0.0.1"


def test_pictures_may_be_left_out(client: Client) -> None:
    assert client.txt2img("cat", steps=1, width=64, height=64, send_images=False)["images"] == []


def test_the_pod_is_named_on_every_answer(client: Client) -> None:
    for path in ("/healthz", "/sdapi/v1/progress", "/", "/docs", "/nowhere"):
        headers = client.http.get(path).headers
        assert (headers["X-Pod"], headers["X-Pod-Requests"]) == (POD, "1")


def test_the_documents_name_every_call_and_field(client: Client) -> None:
    spec = client.http.get("/openapi.json").json()
    assert spec["paths"]["/sdapi/v1/txt2img"]["post"]["requestBody"]
    assert "negative_prompt" in spec["components"]["schemas"]["Txt2Img"]["properties"]
    page = client.http.get("/docs").text
    for path in spec["paths"]:
        assert path in page
    assert "://" not in page.replace("http://www.w3.org", "")


def test_a_transparent_picture_is_read_as_on_white(client: Client) -> None:
    import io

    out = io.BytesIO()
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(out, "PNG")
    fields = {"denoising_strength": 0, "width": 128, "height": 128}
    clear = client.post(
        "img2img", {**fields, "init_images": [base64.b64encode(out.getvalue()).decode()]}
    ).json()
    white = client.post("img2img", {**fields, "init_images": [png_text(color="white")]}).json()
    difference = ImageChops.difference(opened(clear["images"][0]), opened(white["images"][0]))
    assert difference.getbbox() is None


@pytest.mark.parametrize(
    ("prompt", "more", "less"),
    [("a red heart", 0, 1), ("green heart", 1, 2), ("a blue heart", 2, 0), ("red apple", 0, 2)],
)
def test_words_are_heeded(client: Client, prompt: str, more: int, less: int) -> None:
    for seed in range(3):
        picture = client.picture(prompt, seed=seed, width=128, height=128)
        middle = np.asarray(picture, dtype=float)[44:84, 44:84].mean((0, 1))
        assert middle[more] > middle[less] + 40


@pytest.mark.parametrize(("ground", "darkest", "lightest"), [("black", 0, 90), ("white", 225, 255)])
def test_the_ground_is_heeded(client: Client, ground: str, darkest: int, lightest: int) -> None:
    picture = client.picture(f"pizza on a {ground} background", seed=1, width=128, height=128)
    corner = np.asarray(picture, dtype=float)[:10, :10].mean()
    assert darkest <= corner <= lightest
