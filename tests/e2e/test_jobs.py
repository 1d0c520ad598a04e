"""Jobs as kubectl's user sees them, with real pods that run to their end."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.e2e.platform import Platform


def job(name: str, program: str, *, policy: str = "Never", **spec: object) -> str:
    container = {"name": "main", "image": "counter", "command": ["python3", "-c", program]}
    template = {"spec": {"restartPolicy": policy, "containers": [container]}}
    return json.dumps(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"template": template, **spec},
        }
    )


def wait_for(platform: Platform, name: str, condition: str) -> None:
    platform.kubectl("wait", f"--for=condition={condition}", f"job/{name}", "--timeout=60s")


@pytest.fixture(scope="module")
def finished(platform: Platform) -> str:
    created = platform.kubectl(
        "create", "job", "greet", "--image=counter", "--", "python3", "-c", "print('hello from it')"
    )
    assert created.stdout == "job.batch/greet created\n"
    wait_for(platform, "greet", "complete")
    return "greet"


def test_a_created_job_completes_and_its_logs_are_read(platform: Platform, finished: str) -> None:
    assert platform.kubectl("logs", f"job/{finished}").stdout == "hello from it\n"
    (pod,) = platform.get("pods", "-l", f"job-name={finished}")["items"]
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["spec"]["restartPolicy"] == "Never"
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    row = platform.kubectl("get", "pods", "-l", f"job-name={finished}", "--no-headers").stdout
    assert row.split()[1:3] == ["0/1", "Completed"]


def test_the_tables_are_those_of_kubernetes(platform: Platform, finished: str) -> None:
    table = platform.kubectl("get", "jobs", finished).stdout.splitlines()
    assert table[0].split() == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert table[1].split()[:3] == [finished, "Complete", "1/1"]
    wide = platform.kubectl("get", "jobs", finished, "-o", "wide").stdout.splitlines()
    assert wide[0].split()[5:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert f"job.batch/{finished}" in platform.kubectl("get", "all").stdout


def test_describe_tells_the_story(platform: Platform, finished: str) -> None:
    text = platform.kubectl("describe", "job", finished).stdout
    for line in (
        "Completion Mode:  NonIndexed",
        "Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed",
        "SuccessfulCreate",
        "Job completed",
    ):
        assert line in text
    explained = platform.kubectl("explain", "job.spec.backoffLimit").stdout
    assert "Failed pods that are still tried again" in explained


def test_deleting_a_job_deletes_its_pods(platform: Platform) -> None:
    platform.apply(job("brief", "print(1)"))
    wait_for(platform, "brief", "complete")
    deleted = platform.kubectl("delete", "job", "brief")
    assert deleted.stdout == 'job.batch "brief" deleted\n'
    platform.kubectl("wait", "--for=delete", "pod", "-l", "job-name=brief", "--timeout=30s")


def test_deleting_a_running_job_ends_its_pod(platform: Platform) -> None:
    platform.apply(job("endless", "import time; time.sleep(10**6)"))
    wait = ("--for=jsonpath={.status.active}=1", "job/endless", "--timeout=30s")
    platform.kubectl("wait", *wait)
    platform.kubectl("delete", "job", "endless")
    platform.kubectl("wait", "--for=delete", "pod", "-l", "job-name=endless", "--timeout=60s")
    assert platform.get("pods", "-l", "job-name=endless")["items"] == []


def test_a_job_that_fails_says_why(platform: Platform) -> None:
    platform.apply(job("broken", "raise SystemExit(3)", backoffLimit=0))
    wait_for(platform, "broken", "failed")
    table = platform.kubectl("get", "job", "broken", "--no-headers").stdout.split()
    assert table[1:3] == ["Failed", "0/1"]
    found = platform.get("job", "broken")
    failed = next(c for c in found["status"]["conditions"] if c["type"] == "Failed")
    assert failed["reason"] == "BackoffLimitExceeded"
    (pod,) = platform.get("pods", "-l", "job-name=broken")["items"]
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_containers_start_again_in_place_with_on_failure(platform: Platform) -> None:
    program = (
        "import os, pathlib; mark = pathlib.Path(os.environ['HOME']) / 'seen'; "
        "code = 0 if mark.exists() else 1; mark.touch(); "
        "raise SystemExit(code)"
    )
    platform.apply(job("stubborn", program, policy="OnFailure"))
    wait_for(platform, "stubborn", "complete")
    (pod,) = platform.get("pods", "-l", "job-name=stubborn")["items"]
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    assert "failed" not in platform.get("job", "stubborn")["status"]


def test_an_indexed_job_gives_every_pod_its_index(platform: Platform) -> None:
    program = "import os; print('index', os.environ['JOB_COMPLETION_INDEX'])"
    shape = {"completions": 3, "parallelism": 2, "completionMode": "Indexed"}
    platform.apply(job("sharded", program, **shape))
    wait_for(platform, "sharded", "complete")
    logs = platform.kubectl("logs", "-l", "job-name=sharded").stdout
    assert sorted(logs.splitlines()) == ["index 0", "index 1", "index 2"]
    assert platform.get("job", "sharded")["status"]["completedIndexes"] == "0-2"


def test_a_suspended_job_waits(platform: Platform) -> None:
    platform.apply(job("later", "print('now')", suspend=True))
    wait_for(platform, "later", "suspended")
    row = platform.kubectl("get", "job", "later", "--no-headers").stdout.split()
    assert row[1:3] == ["Suspended", "0/1"]
    assert platform.get("pods", "-l", "job-name=later")["items"] == []
    platform.kubectl("patch", "job", "later", "--patch", '{"spec":{"suspend":false}}')
    wait_for(platform, "later", "complete")


def test_a_failure_that_no_other_try_can_mend_ends_the_job(platform: Platform) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    rules = {"podFailurePolicy": {"rules": [rule]}}
    platform.apply(job("hopeless", "raise SystemExit(42)", backoffLimit=6, **rules))
    wait_for(platform, "hopeless", "failed")
    status = platform.get("job", "hopeless")["status"]
    failed = next(c for c in status["conditions"] if c["type"] == "Failed")
    assert failed["reason"] == "PodFailurePolicy"
    assert "failed with exit code 42 matching FailJob rule at index 0" in failed["message"]
    assert status["failed"] == 1


def test_some_indexes_can_be_enough(platform: Platform) -> None:
    program = "import os, time; time.sleep(10**6 * int(os.environ['JOB_COMPLETION_INDEX']))"
    shape = {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
    enough = {"successPolicy": {"rules": [{"succeededIndexes": "0"}]}}
    platform.apply(job("leader", program, **shape, **enough))
    wait_for(platform, "leader", "complete")
    status = platform.get("job", "leader")["status"]
    assert status["completedIndexes"] == "0"
    assert {c["reason"] for c in status["conditions"]} == {"SuccessPolicy"}


def test_a_job_removes_itself(platform: Platform) -> None:
    platform.apply(job("fleeting", "print(1)", ttlSecondsAfterFinished=1))
    platform.kubectl("wait", "--for=delete", "job/fleeting", "--timeout=60s")
    platform.kubectl("wait", "--for=delete", "pod", "-l", "job-name=fleeting", "--timeout=60s")


def test_what_cannot_be_is_refused_in_kubernetes_words(platform: Platform, finished: str) -> None:
    refused = platform.kubectl(
        "apply", "-f", "-", stdin=job("bad", "print(1)", policy="Always"), check=False
    )
    assert (
        'The Job "bad" is invalid: spec.template.spec.restartPolicy: Required value: valid values:'
        ' "OnFailure", "Never"'
    ) in refused.stderr
    changed = platform.get("job", finished)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    text = yaml.safe_dump(changed)
    refused = platform.kubectl("replace", "-f", "-", stdin=text, check=False)
    assert "spec.template: Invalid value" in refused.stderr
    assert "field is immutable" in refused.stderr


def test_who_may_edit_may_run_jobs(platform: Platform) -> None:
    platform.kubectl("create", "rolebinding", "runners", "--clusterrole=edit", "--user=rob")
    for verb in ("create", "get", "delete"):
        answer = platform.kubectl("auth", "can-i", verb, "jobs.batch", "--as=rob", check=False)
        assert answer.stdout == "yes\n"
