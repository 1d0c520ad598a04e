"""Query parameters and option bodies as the pipeline's options, wrong ones refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.apiserver.http.optionchecks import (
    MAX_MANAGER_CHARS,
    check_list,
    check_propagation,
    check_watch,
    check_write,
)
from tidegate.apiserver.options import DeleteOptions, ListOptions, WatchOptions
from tidegate.apiserver.requests import FieldValidation, RequestContext, User
from tidegate.kube.errors import BadRequest
from tidegate.kube.objects import Object

_READS = ("get", "list", "watch")
_TRUE = ("1", "t", "true", "True", "TRUE")
_FALSE = ("", "0", "f", "false", "False", "FALSE")


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean parameter, False when it is not there."""
    value = query.get(name)
    if value is None or value in _FALSE:
        return False
    if value in _TRUE:
        return True
    raise BadRequest(f"invalid value {value!r} of the parameter {name}: must be true or false")


def number(query: Mapping[str, str], name: str) -> int | None:
    """An integer parameter not below zero, None when it is not there."""
    value = query.get(name)
    if value is None or value == "":
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadRequest(f"invalid value {value!r} of the parameter {name}: must be a number")
    return int(value)


def request_context(
    user: User,
    query: Mapping[str, str],
    warnings: list[str],
    *,
    agent: str,
    verb: str = "create",
    apply: bool = False,
    body: Object | None = None,
) -> RequestContext:
    """How a request is to be carried out.

    Args:
        warnings: where the pipeline puts its own.
        agent: the client's `User-Agent`; its first word is the default field manager.
        verb: says which options may be there.
        apply: whether a patch is a server-side apply.
        body: the DeleteOptions, which say `dryRun` in their own way.

    Raises:
        Invalid: an option is malformed or not allowed.
    """
    dry_run = _dry_run(query, body)
    validation = FieldValidation.WARN
    if verb not in _READS:
        check_write(query, dry_run, verb=verb, apply=apply)
        validation = FieldValidation(query.get("fieldValidation") or validation)
    manager = query.get("fieldManager", "")
    return RequestContext(
        user=user,
        dry_run=bool(dry_run),
        field_validation=validation,
        field_manager=manager or agent.partition("/")[0][:MAX_MANAGER_CHARS],
        force=flag(query, "force"),
        warnings=warnings,
    )


def list_options(query: Mapping[str, str]) -> ListOptions:
    """For a list or a deletecollection. Raises BadRequest, Invalid."""
    check_list(query)
    number(query, "timeoutSeconds")
    return ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=number(query, "limit") or 0,
        continue_token=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        resource_version_match=query.get("resourceVersionMatch", ""),
    )


def watch_options(query: Mapping[str, str], *, name: str = "") -> WatchOptions:
    """For a watch; `name` narrows it to one object. Raises BadRequest, Invalid."""
    check_watch(query)
    fields = query.get("fieldSelector", "")
    if name:
        fields = f"{fields},metadata.name={name}" if fields else f"metadata.name={name}"
    initial = flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None
    return WatchOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=fields,
        resource_version=query.get("resourceVersion", ""),
        send_initial_events=initial,
    )


def delete_options(query: Mapping[str, str], body: Object | None) -> DeleteOptions:
    """From the body where there is one, else from the query."""
    if body:
        kind = body.get("kind", "DeleteOptions")
        if kind != "DeleteOptions":
            raise BadRequest(f"the body of a delete must be DeleteOptions, not {kind}")
        preconditions: Mapping[str, Any] = body.get("preconditions") or {}
        grace = body.get("gracePeriodSeconds")
        orphan = body.get("orphanDependents")
        if grace is not None and type(grace) is not int:
            raise BadRequest("gracePeriodSeconds: must be an integer")
        return DeleteOptions(
            propagation=_propagation(body.get("propagationPolicy") or "", orphan),
            grace_period_seconds=grace,
            uid=preconditions.get("uid"),
            resource_version=preconditions.get("resourceVersion"),
        )
    orphan = flag(query, "orphanDependents") if "orphanDependents" in query else None
    return DeleteOptions(
        propagation=_propagation(query.get("propagationPolicy", ""), orphan),
        grace_period_seconds=number(query, "gracePeriodSeconds"),
    )


def _propagation(policy: str, orphan: bool | None) -> str:
    check_propagation(policy, orphan)
    if policy or orphan is None:
        return policy
    return "Orphan" if orphan else "Background"


def _dry_run(query: Mapping[str, str], body: Object | None) -> list[str]:
    values: list[str] = list((body or {}).get("dryRun") or [])
    if query.get("dryRun"):
        values.append(query["dryRun"])
    return values
