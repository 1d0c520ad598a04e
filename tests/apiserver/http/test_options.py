"""Options that are malformed or contradict each other are refused, in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.http.face import Face

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
MATCH = "resourceVersionMatch"


def invalid(response: Any, kind: str, message: str) -> None:
    status = response.json()
    assert (response.status_code, status["reason"]) == (422, "Invalid"), status
    assert status["message"] == f'{kind}.meta.k8s.io "" is invalid: {message}'
    assert status["details"]["kind"] == kind


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (f"{MATCH}=Exact", f"{MATCH} is forbidden unless resourceVersion is provided"),
        (
            f"{MATCH}=Exact&resourceVersion=0",
            f'{MATCH} "exact" is forbidden for resourceVersion "0"',
        ),
        (
            f"{MATCH}=Exact&resourceVersion=1&continue=x",
            f"{MATCH} is forbidden when continue is provided",
        ),
        (
            f"watch=1&{MATCH}=NotOlderThan",
            f"{MATCH} is forbidden for watch unless sendInitialEvents is provided",
        ),
        (
            "watch=1&sendInitialEvents=true",
            f"sendInitialEvents requires setting {MATCH} to NotOlderThan",
        ),
    ],
)
async def test_versions_of_reads(face: Face, query: str, message: str) -> None:
    response = await face.http().get(f"{CONFIG_MAPS}?{query}")
    invalid(response, "ListOptions", f"{MATCH}: Forbidden: {message}")


async def test_initial_events_are_for_watches(face: Face) -> None:
    response = await face.http().get(f"{CONFIG_MAPS}?sendInitialEvents=true")
    message = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"
    invalid(response, "ListOptions", message)


@pytest.mark.parametrize(
    ("query", "headers", "message"),
    [
        ("force=true", MERGE, "force: Forbidden: may not be specified for non-apply patch"),
        ("", APPLY, "fieldManager: Required value: is required for apply patch"),
        (
            f"fieldManager={'x' * 129}",
            MERGE,
            "fieldManager: Too long: may not be more than 128 bytes",
        ),
        ("dryRun=Some", MERGE, 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        (
            "fieldValidation=Loose",
            MERGE,
            'fieldValidation: Unsupported value: "Loose": supported values: "", "Ignore",'
            ' "Strict", "Warn"',
        ),
    ],
)
async def test_patches(face: Face, query: str, headers: dict[str, str], message: str) -> None:
    url = f"{CONFIG_MAPS}/a?{query}"
    invalid(await face.http().patch(url, content=b"{}", headers=headers), "PatchOptions", message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"propagationPolicy": "Maybe"},
            'propagationPolicy: Unsupported value: "Maybe": supported values: "Background",'
            ' "Foreground", "Orphan", "nil"',
        ),
        (
            {"propagationPolicy": "Orphan", "orphanDependents": True},
            'propagationPolicy: Invalid value: "Orphan": orphanDependents and'
            " deletionPropagation cannot be both set",
        ),
    ],
)
async def test_deletes(face: Face, options: dict[str, Any], message: str) -> None:
    response = await face.http().request("DELETE", f"{CONFIG_MAPS}/a", json=options)
    invalid(response, "DeleteOptions", message)


async def test_a_version_of_the_future(face: Face) -> None:
    response = await face.http().get(f"{CONFIG_MAPS}/kube-root-ca.crt?resourceVersion=99999999")
    status = response.json()
    assert (status["code"], status["reason"]) == (504, "Timeout")
    assert status["message"].startswith("Too large resource version: 99999999")


async def test_a_review_is_no_table(face: Face) -> None:
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    response = await face.http().post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        json=review,
        headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
    )
    assert (response.status_code, response.json()["reason"]) == (406, "NotAcceptable")


async def test_nothing_is_made_for_who_cannot_take_the_answer(face: Face) -> None:
    http = face.http()
    body = {"metadata": {"name": "unheard"}}
    response = await http.post(CONFIG_MAPS, json=body, headers={"accept": "text/html"})
    assert response.status_code == 406
    assert (await http.get(f"{CONFIG_MAPS}/unheard")).status_code == 404


async def test_nothing_is_changed_for_who_cannot_take_the_answer(face: Face) -> None:
    http = face.http()
    made = (await http.post(CONFIG_MAPS, json={"metadata": {"name": "kept"}})).json()
    url = f"{CONFIG_MAPS}/kept"
    change = {"metadata": {"name": "kept"}, "data": {"a": "b"}}
    accept = {"accept": "text/html"}
    merge = {**accept, "content-type": "application/merge-patch+json"}
    for answer in (
        await http.put(url, json=change, headers=accept),
        await http.patch(url, json=change, headers=merge),
        await http.delete(url, headers=accept),
        await http.delete(CONFIG_MAPS, headers=accept),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (406, "NotAcceptable")
    assert (await http.get(url)).json() == made
