"""A Knative Service of the class hpa on the whole platform, with every part's own rights."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.platform import Platform, knative_service
from tests.support.waiting import wait_until

# Serves, and burns a core beside it.
PROGRAM = """
import threading, counter

def burn():
    while True:
        sum(range(1000))

threading.Thread(target=burn, daemon=True).start()
counter.main()
"""


@pytest.mark.timeout(240)
def test_a_service_of_the_class_hpa_grows_by_its_cpu(platform: Platform) -> None:
    scaling = {
        "autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev",
        "autoscaling.knative.dev/metric": "cpu",
        "autoscaling.knative.dev/target": "50",
        "autoscaling.knative.dev/max-scale": "2",
    }
    manifest = json.loads(knative_service("burner", annotations=scaling))
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    container["command"] = ["python3", "-c", PROGRAM]
    container["resources"] = {"requests": {"cpu": "20m"}}
    platform.apply(json.dumps(manifest))
    platform.wait_ready("ksvc/burner")
    assert platform.request("burner.default.localhost").status_code == 200

    def scaler() -> Any:
        return platform.get("kpa", "burner-00001")["status"]

    # The first window that lies wholly after the start, then the next look at the metrics.
    wait_until(lambda: scaler()["desiredScale"] == 2, timeout=110, pause=0.5)
    active = {c["type"]: c["status"] for c in scaler()["conditions"]}
    assert active["Active"] == "True"
    platform.kubectl("delete", "ksvc", "burner")
