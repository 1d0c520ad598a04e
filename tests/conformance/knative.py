"""A plain HTTPS client for the conformance tests of Knative's sections, and what they send."""

from __future__ import annotations

import contextlib
import copy
import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.e2e.platform import Platform
from tests.support.waiting import wait_until

Obj = dict[str, Any]
SERVING = "/apis/serving.knative.dev/v1"
MAPPINGS = "/apis/serving.knative.dev/v1beta1"
AUTOSCALING = "/apis/autoscaling.internal.knative.dev/v1alpha1"
NETWORKING = "/apis/networking.internal.knative.dev/v1alpha1"
CORE = "/api/v1"
APPS = "/apis/apps/v1"
_GROUPS = {
    "domainmappings": MAPPINGS,
    "podautoscalers": AUTOSCALING,
    "ingresses": NETWORKING,
    "clusterdomainclaims": NETWORKING,
    "deployments": APPS,
    **dict.fromkeys(("configmaps", "pods", "secrets", "core-services", "events"), CORE),
}
MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
DENIED = (
    'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
    "validation failed: "
)
TIMEOUT = 60.0
# The group of the annotations that autoscalers read.
SCALING = "autoscaling.knative.dev"


class Api:
    """The API as its administrator sees it, on one namespace unless told otherwise."""

    def __init__(self, platform: Platform, namespace: str) -> None:
        pki = platform.data_dir / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.platform = platform
        self.namespace = namespace
        self.http = httpx.Client(
            base_url=f"https://127.0.0.1:{platform.api_port}",
            verify=context,
            trust_env=False,
            timeout=TIMEOUT + 10,
        )

    def path(self, kind: str, name: str = "", *, namespace: str | None = None) -> str:
        """Of a plural; `core-services` are Kubernetes' own."""
        group = _GROUPS.get(kind, SERVING)
        place = (
            "" if kind == "clusterdomainclaims" else f"/namespaces/{namespace or self.namespace}"
        )
        return f"{group}{place}/{kind.removeprefix('core-')}" + (f"/{name}" if name else "")

    def dry(self, kind: str, obj: Obj) -> httpx.Response:
        """What would become of a create."""
        return self.http.post(self.path(kind), json=obj, params={"dryRun": "All"})

    def admitted(self, kind: str, obj: Obj) -> Obj:
        """What would be stored."""
        return good(self.dry(kind, obj))

    def refusal(self, kind: str, obj: Obj) -> str:
        """The words in which a create is refused, without what all begin with."""
        return refused(self.dry(kind, obj))

    def create(self, kind: str, obj: Obj, **options: str) -> Obj:
        return good(self.http.post(self.path(kind), json=obj, params=options))

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Obj:
        return good(self.http.get(self.path(kind, name, namespace=namespace)))

    def names(self, kind: str, **selectors: str) -> list[str]:
        listing = good(self.http.get(self.path(kind), params=selectors))
        return [item["metadata"]["name"] for item in listing["items"]]

    def put(self, kind: str, obj: Obj) -> httpx.Response:
        return self.http.put(self.path(kind, obj["metadata"]["name"]), json=obj)

    def put_latest(self, kind: str, obj: Obj) -> Obj:
        """Put it in place of what is there, whoever writes meanwhile, as controllers do."""
        for _ in range(20):
            there = self.get(kind, obj["metadata"]["name"])
            version = {"resourceVersion": there["metadata"]["resourceVersion"]}
            response = self.put(kind, {**obj, "metadata": {**obj["metadata"], **version}})
            if response.status_code != 409:
                break
        return good(response)

    def merge(self, kind: str, name: str, patch: Obj) -> httpx.Response:
        return self.http.patch(self.path(kind, name), json=patch, headers=MERGE)

    def delete(self, kind: str, name: str) -> None:
        good(self.http.delete(self.path(kind, name)))

    def watch(
        self, kind: str, name: str, *, namespace: str | None = None, **params: str
    ) -> Iterator[Obj]:
        """Events of one object, what is there first, until the reader has seen enough."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "timeoutSeconds": str(int(TIMEOUT)),
            **params,
        }
        path = self.path(kind, namespace=namespace)
        with self.http.stream("GET", path, params=query) as response:
            assert response.status_code == 200, response.read()
            for line in response.iter_lines():
                yield json.loads(line)

    def wait(self, kind: str, name: str, holds: Callable[[Obj], Any]) -> Obj:
        """The object as soon as `holds` says so of it."""
        seen: Obj = {}
        with contextlib.closing(self.watch(kind, name)) as events:
            for event in events:
                seen = event["object"]
                if event["type"] != "DELETED" and holds(seen):
                    return seen
        raise AssertionError(f"{kind} {name} does not get there: {json.dumps(seen)[:4000]}")

    def ready(self, name: str, kind: str = "services") -> Obj:
        """Once it is ready as it is now specified."""
        return self.wait(kind, name, is_ready)

    def apply_ready(self, obj: Obj) -> Obj:
        """Create a Service and wait for it."""
        self.create("services", obj)
        return self.ready(obj["metadata"]["name"])

    def condition(self, kind: str, name: str, type_: str, status: str, reason: str = "") -> Obj:
        """A condition as soon as it says this."""

        def says(obj: Obj) -> bool:
            found = condition(obj, type_)
            same = found.get("status") == status
            return same and (not reason or found.get("reason") == reason)

        return condition(self.wait(kind, name, says), type_)

    def close(self) -> None:
        self.http.close()

    @contextlib.contextmanager
    def settings(
        self, name: str, data: dict[str, str], *, until: Callable[[], Any] | None = None
    ) -> Iterator[None]:
        """Keys of a ConfigMap of knative-serving, put back in the end.

        Args:
            until: holds once the settings are in force.
        """
        path = self.path("configmaps", name, namespace="knative-serving")
        good(self.http.patch(path, json={"data": data}, headers=MERGE))
        try:
            if until is not None:
                wait_until(until)
            yield
        finally:
            back = dict.fromkeys(data)
            good(self.http.patch(path, json={"data": back}, headers=MERGE))
            if until is not None:
                wait_until(lambda: not until())


def good(response: httpx.Response) -> Obj:
    assert response.status_code < 300, response.text
    return response.json()


def refused(response: httpx.Response) -> str:
    """The words of a webhook's refusal, which have their shape."""
    status = response.json()
    assert response.status_code == 400, status
    assert (status["kind"], status["status"], status["reason"], status["code"]) == (
        "Status",
        "Failure",
        "BadRequest",
        400,
    )
    assert status["message"].startswith(DENIED), status["message"]
    return status["message"].removeprefix(DENIED)


def condition(obj: Obj, type_: str) -> Obj:
    found = obj.get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == type_), {})


def is_ready(obj: Obj) -> bool:
    observed = obj.get("status", {}).get("observedGeneration")
    current = observed == obj["metadata"]["generation"]
    return current and condition(obj, "Ready").get("status") == "True"


def service(name: str = "hello", **container: Any) -> Obj:
    """A small Knative Service; keywords go into its container."""
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [{"image": "counter", **container}]}}},
    }


def pod_spec(obj: Obj) -> Obj:
    return obj["spec"]["template"]["spec"]


def container_of(obj: Obj) -> Obj:
    return pod_spec(obj)["containers"][0]


def with_spec(**fields: Any) -> Obj:
    """A Service with these fields in the spec of its template."""
    obj = service()
    pod_spec(obj).update(copy.deepcopy(fields))
    return obj


def with_annotations(annotations: dict[str, str], *, name: str = "hello") -> Obj:
    """A Service with annotations on its template."""
    obj = service(name)
    obj["spec"]["template"]["metadata"] = {"annotations": annotations}
    return obj


def with_template_name(name: str) -> Obj:
    """A Service whose next Revision is called so."""
    obj = service()
    obj["spec"]["template"]["metadata"] = {"name": name}
    return obj


def with_env(obj: Obj, **variables: str) -> Obj:
    """The Service with these variables in its first container: another Revision."""
    changed = copy.deepcopy(obj)
    env = [{"name": name, "value": value} for name, value in variables.items()]
    container_of(changed)["env"] = env
    return changed
