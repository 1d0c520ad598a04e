"""Services to admit, changed at one place, and the words of their refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tidegate.apis.admission import (
    admit_service,
)
from tidegate.kube.errors import BadRequest

Obj = dict[str, Any]
Change = Callable[[Obj], object]
DENIED = (
    'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
    "validation failed: "
)


def service(**spec: Any) -> Obj:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "hello:1"}], **spec}}},
    }


def container(obj: Obj) -> Obj:
    return obj["spec"]["template"]["spec"]["containers"][0]


def template(obj: Obj) -> Obj:
    return obj["spec"]["template"]


def annotate(obj: Obj, **annotations: str) -> None:
    metadata = template(obj).setdefault("metadata", {})
    metadata["annotations"] = {
        f"autoscaling.knative.dev/{name.replace('_', '-')}": value
        for name, value in annotations.items()
    }


def changed(change: Change) -> Obj:
    obj = service()
    change(obj)
    return obj


def refusal(obj: Obj, old: Obj | None = None) -> str:
    with pytest.raises(BadRequest) as caught:
        admit_service(obj, old, "me")
    assert caught.value.message.startswith(DENIED)
    return caught.value.message.removeprefix(DENIED)
