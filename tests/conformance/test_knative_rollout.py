"""Section 1.10: a new latest Revision takes over little by little."""

from __future__ import annotations

import json

import pytest

from tests.conformance.knative import Api, Obj, condition, good, service

DURATION = "serving.knative.dev/rollout-duration"
ROLLOUT = "networking.internal.knative.dev/rollout"


def slow(name: str, seconds: int) -> Obj:
    obj = service(name)
    obj["metadata"]["annotations"] = {DURATION: f"{seconds}s"}
    return obj


def change(api: Api, name: str, word: str) -> None:
    containers = [{"image": "counter", "args": [word]}]
    good(api.merge("services", name, {"spec": {"template": {"spec": {"containers": containers}}}}))


def shares(obj: Obj) -> dict[str, int]:
    """Percent by Revision, of a Service or of the rule of an Ingress."""
    found: dict[str, int] = {}
    for target in obj.get("status", {}).get("traffic", []):
        name = target["revisionName"]
        found[name] = found.get(name, 0) + target["percent"]
    return found


def test_traffic_moves_in_steps(api: Api) -> None:
    api.apply_ready(slow("steps", 4))
    change(api, "steps", "two")
    seen: list[dict[str, int]] = []

    def done(obj: Obj) -> bool:
        found = shares(obj)
        if found and (not seen or seen[-1] != found):
            seen.append(found)
        return found == {"steps-00002": 100}

    api.wait("services", "steps", done)
    assert seen[0] == {"steps-00001": 100}
    assert {"steps-00001": 99, "steps-00002": 1} in seen
    of_new = [found.get("steps-00002", 0) for found in seen]
    assert of_new == sorted(of_new)
    assert all(sum(found.values()) == 100 for found in seen)
    assert len(seen) >= 4
    api.ready("steps")


def test_while_it_lasts_the_service_is_not_ready_and_both_serve(api: Api) -> None:
    api.apply_ready(slow("lasting", 3600))
    change(api, "lasting", "two")
    found = api.condition("routes", "lasting", "IngressReady", "Unknown", "RolloutInProgress")
    assert found["message"] == ("A gradual rollout of the latest revision(s) is in progress.")
    waiting = api.condition("services", "lasting", "Ready", "Unknown", "RolloutInProgress")
    assert waiting["status"] == "Unknown"
    api.wait(
        "services",
        "lasting",
        lambda obj: shares(obj) == {"lasting-00001": 99, "lasting-00002": 1},
    )
    ingress = api.get("ingresses", "lasting")
    state = json.loads(ingress["metadata"]["annotations"][ROLLOUT])
    assert state["configurations"][0]["configurationName"] == "lasting"
    splits = ingress["spec"]["rules"][0]["http"]["paths"][0]["splits"]
    assert {split["serviceName"]: split["percent"] for split in splits} == {
        "lasting-00001": 99,
        "lasting-00002": 1,
    }
    # One that comes meanwhile begins with one percent too, taken from the newest.
    change(api, "lasting", "three")
    found_shares = api.wait(
        "services", "lasting", lambda obj: shares(obj).get("lasting-00003") == 1
    )
    assert sum(shares(found_shares).values()) == 100
    assert shares(found_shares)["lasting-00001"] == 99
    # Who is in a hurry takes the annotation away.
    good(api.merge("services", "lasting", {"metadata": {"annotations": {DURATION: "0s"}}}))
    api.wait("services", "lasting", lambda obj: shares(obj) == {"lasting-00003": 100})
    assert condition(api.ready("lasting"), "Ready")["status"] == "True"


def test_named_revisions_are_not_rolled_out(api: Api) -> None:
    obj = slow("pinned", 3600)
    api.apply_ready(obj)
    traffic = [
        {"revisionName": "pinned-00001", "percent": 40},
        {"latestRevision": True, "percent": 60},
    ]
    good(api.merge("services", "pinned", {"spec": {"traffic": traffic}}))
    api.ready("pinned")
    change(api, "pinned", "two")
    # Of the 60 of the latest one, one is the new one's; the 40 stay.
    found = api.wait("services", "pinned", lambda obj: "pinned-00002" in shares(obj))
    assert shares(found) == {"pinned-00001": 99, "pinned-00002": 1}
    swap = [{"revisionName": "pinned-00002", "percent": 100}]
    good(api.merge("services", "pinned", {"spec": {"traffic": swap}}))
    api.wait("services", "pinned", lambda obj: shares(obj) == {"pinned-00002": 100})


def test_the_operator_sets_a_duration_for_all(api: Api) -> None:
    api.apply_ready(service("everyone"))
    with api.settings("config-network", {"rollout-duration": "3600"}):
        api.create("services", slow("own", 0))
        api.ready("own")
        change(api, "everyone", "two")
        change(api, "own", "two")
        api.wait(
            "services",
            "everyone",
            lambda obj: shares(obj) == {"everyone-00001": 99, "everyone-00002": 1},
        )
        api.wait("services", "own", lambda obj: shares(obj) == {"own-00002": 100})
    api.wait("services", "everyone", lambda obj: shares(obj) == {"everyone-00002": 100})


def test_the_annotation_may_be_in_camel_case(api: Api) -> None:
    obj = service("camel")
    obj["metadata"]["annotations"] = {"serving.knative.dev/rolloutDuration": "3600s"}
    api.apply_ready(obj)
    change(api, "camel", "two")
    api.condition("services", "camel", "Ready", "Unknown", "RolloutInProgress")


@pytest.mark.parametrize("kind", ["services", "routes"])
def test_the_annotation_may_stand_on_both(api: Api, kind: str) -> None:
    obj = slow("any", 380)
    if kind == "routes":
        obj = {**obj, "kind": "Route", "spec": {"traffic": [{"revisionName": "x", "percent": 100}]}}
    assert api.admitted(kind, obj)["metadata"]["annotations"][DURATION] == "380s"
