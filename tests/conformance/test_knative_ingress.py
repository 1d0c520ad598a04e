"""Internal Ingresses that no Route has made, with plain Services behind them: what Knative's
networking layer asks of a gateway."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest

from tests.conformance.knative import MERGE, Api, Obj, condition, good, is_ready
from tests.e2e.platform import Platform
from tests.support.waiting import wait_until

ECHOES = ("foo", "bar", "baz")
PORTS = {"foo": 57, "bar": 80, "baz": 99}


def create_backend(
    api: Api, name: str, *, port: int = 80, port_name: str = "http1", **pod: Any
) -> None:
    """A pod that says what it is asked, and a Service in front of it."""
    container: Obj = {
        "name": "main",
        "image": "contract",
        "ports": [{"containerPort": 8042, **({"name": port_name} if port_name else {})}],
        "readinessProbe": {"tcpSocket": {"port": 8042}, "periodSeconds": 1},
        **pod,
    }
    labels = {"backend": name}
    api.create(
        "pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [container]},
        },
    )
    service_port: Obj = {"port": port, "targetPort": 8042}
    if port_name:
        service_port["name"] = port_name
    spec = {"selector": labels, "ports": [service_port]}
    api.create("core-services", _object("v1", "Service", name, spec))


def _object(version: str, kind: str, name: str, spec: Obj) -> Obj:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def backends(api: Api) -> None:
    for name in ECHOES:
        create_backend(api, name, port=PORTS[name])
    for name in ECHOES:
        api.condition("pods", name, "Ready", "True")


def split(name: str, **more: Any) -> Obj:
    return {"serviceName": name, "servicePort": PORTS.get(name, 80), **more}


def ingress(name: str, *paths: Obj, **spec: Any) -> Obj:
    """The host is `<name>.example.com`."""
    rule: Obj = {"hosts": [f"{name}.example.com"], "visibility": "ExternalIP"}
    rules = spec.pop("rules", [{**rule, "http": {"paths": list(paths)}}])
    version = "networking.internal.knative.dev/v1alpha1"
    return _object(version, "Ingress", name, {"rules": rules, **spec})


def serve(api: Api, obj: Obj) -> Obj:
    api.create("ingresses", obj)
    return api.ready(obj["metadata"]["name"], "ingresses")


def ask(platform: Platform, host: str, path: str = "/", **headers: str) -> dict[str, str]:
    """The headers that the backend saw."""
    response = platform.request(host, path, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()["headers"]


@pytest.mark.usefixtures("backends")
def test_a_service_is_served(platform: Platform, api: Api) -> None:
    made = serve(api, ingress("basic", {"splits": [split("foo")]}))

    assert ask(platform, "basic.example.com")["host"] == "basic.example.com"
    for kind in ("Ready", "NetworkConfigured", "LoadBalancerReady"):
        assert condition(made, kind)["status"] == "True"
    for balancer in ("publicLoadBalancer", "privateLoadBalancer"):
        (entry,) = made["status"][balancer]["ingress"]
        assert entry["ip"] == "127.0.0.1"
    api.delete("ingresses", "basic")
    wait_until(lambda: platform.request("basic.example.com").status_code == 404)


@pytest.mark.parametrize(
    ("port_name", "protocol"), [("h2c", "HTTP/2.0"), ("http1", "HTTP/1.1"), ("", "HTTP/1.1")]
)
def test_the_name_of_the_port_is_its_protocol(
    platform: Platform, api: Api, port_name: str, protocol: str
) -> None:
    name = f"protocol-{port_name or 'none'}"
    create_backend(api, name, port_name=port_name)
    serve(api, ingress(name, {"splits": [split(name)]}))

    assert platform.request(f"{name}.example.com").json()["protocol"] == protocol


@pytest.mark.usefixtures("backends")
def test_the_first_path_that_fits_decides(platform: Platform, api: Api) -> None:
    paths = [
        {"path": f"/{name}", "splits": [split(name, appendHeaders={"Which-Backend": name})]}
        for name in ECHOES
    ]
    beta = {"X-Beta": {"exact": "yes"}}
    serve(
        api,
        ingress(
            "paths",
            {"headers": beta, "splits": [split("baz")], "appendHeaders": {"Which-Backend": "beta"}},
            *paths,
            {"splits": [split("foo")], "appendHeaders": {"Which-Backend": "rest"}},
        ),
    )

    def reached(path: str, **headers: str) -> str:
        return ask(platform, "paths.example.com", path, **headers)["which-backend"]

    assert [reached(f"/{name}") for name in ECHOES] == list(ECHOES)
    assert reached("/bar/deep?x=/foo") == "bar"
    assert reached("/") == reached("/asdf?/bar") == "rest"
    assert reached("/foo", **{"X-Beta": "yes"}) == "beta"
    assert reached("/foo", **{"X-Beta": "no"}) == "foo"


@pytest.mark.usefixtures("backends")
def test_what_fits_no_path_is_not_found(platform: Platform, api: Api) -> None:
    serve(api, ingress("only", {"path": "/foo", "splits": [split("foo")]}))

    assert platform.request("only.example.com", "/foo").status_code == 200
    assert platform.request("only.example.com", "/bar").status_code == 404


@pytest.mark.usefixtures("backends")
def test_percents_of_a_path_and_headers_of_its_parts(platform: Platform, api: Api) -> None:
    shares = {"foo": 20, "bar": 80, "baz": 0}
    parts = [
        split(name, percent=percent, appendHeaders={"Which-Backend": name})
        for name, percent in shares.items()
    ]
    rest = {"splits": [split("baz")]}
    serve(api, ingress("parts", {"path": "/foo", "splits": parts}, rest))

    # With a header of the client's own: it is set, not added to.
    own = {"Host": "parts.example.com", "Which-Backend": "bogus"}
    with httpx.Client(base_url=platform.gateway, headers=own, trust_env=False) as client:
        answers = [client.get("/foo").json() for _ in range(200)]
    seen = Counter(answer["headers"]["which-backend"] for answer in answers)

    assert seen.keys() == {"foo", "bar"}
    assert 5 <= seen["foo"] <= 90


@pytest.mark.usefixtures("backends")
def test_headers_are_set_before_the_split(platform: Platform, api: Api) -> None:
    path = {"splits": [split("foo")], "appendHeaders": {"Foo-Bar-Baz": "set, as it: is"}}
    serve(api, ingress("headers", path))

    for own in ({}, {"Foo-Bar-Baz": "bogus"}):
        assert ask(platform, "headers.example.com", **own)["foo-bar-baz"] == "set, as it: is"


@pytest.mark.usefixtures("backends")
def test_a_tag_in_a_header(platform: Platform, api: Api) -> None:
    tagged = {
        "headers": {"Knative-Serving-Tag": {"exact": "the-tag"}},
        "appendHeaders": {"Which-Backend": "tag"},
        "splits": [split("foo")],
    }
    rest = {"appendHeaders": {"Which-Backend": "no-tag"}, "splits": [split("foo")]}
    serve(api, ingress("tagged", tagged, rest))

    def reached(**headers: str) -> str:
        return ask(platform, "tagged.example.com", **headers)["which-backend"]

    assert reached() == "no-tag"
    assert reached(**{"Knative-Serving-Tag": "the-tag"}) == "tag"
    assert reached(**{"Knative-Serving-Tag": "not-the-tag"}) == "no-tag"
    assert reached(**{"Knative-Serving-Tag": ""}) == "no-tag"


@pytest.mark.usefixtures("backends")
def test_rules_and_hosts(platform: Platform, api: Api) -> None:
    def rule(*hosts: str, backend: str, visibility: str = "ExternalIP") -> Obj:
        headers = {"Which-Backend": backend}
        path = {"splits": [split(backend)], "appendHeaders": headers}
        return {"hosts": list(hosts), "visibility": visibility, "http": {"paths": [path]}}

    local = f"many.{api.namespace}.svc.cluster.local"
    rules = [
        rule("one.example.com", "two.example.com", backend="foo"),
        rule("three.example.com", backend="bar"),
        rule(local, backend="baz", visibility="ClusterLocal"),
    ]
    serve(api, ingress("many", rules=rules))

    wanted = {
        "one.example.com": "foo",
        "two.example.com": "foo",
        "three.example.com": "bar",
        local: "baz",
    }
    assert {host: ask(platform, host)["which-backend"] for host in wanted} == wanted


@pytest.mark.usefixtures("backends")
def test_a_host_is_rewritten_and_goes_in_again(platform: Platform, api: Api) -> None:
    private = f"private.{api.namespace}.svc.cluster.local"
    path = {"splits": [split("bar")]}
    plain = {"hosts": [private], "visibility": "ClusterLocal", "http": {"paths": [path]}}
    serve(api, ingress("private", rules=[plain]))
    name = {"type": "ExternalName", "externalName": "gateway.knative-serving.svc.cluster.local"}
    api.create("core-services", _object("v1", "Service", "private", name))
    serve(api, ingress("vanity", {"rewriteHost": private, "splits": [split("private")]}))

    assert ask(platform, "vanity.example.com")["host"] == private
    # To a Service that is there, only the header changes.
    serve(api, ingress("named", {"rewriteHost": "other.name", "splits": [split("foo")]}))
    assert ask(platform, "named.example.com")["host"] == "other.name"


@pytest.mark.usefixtures("backends")
def test_nothing_fails_while_it_is_changed(platform: Platform, api: Api) -> None:
    def path(backend: str) -> Obj:
        return {"splits": [split(backend)], "appendHeaders": {"Which-Backend": backend}}

    serve(api, ingress("moves", path("foo")))
    for backend in ("bar", "baz", "foo", "bar"):
        rules = ingress("moves", path(backend))["spec"]["rules"]
        response = api.http.patch(
            api.path("ingresses", "moves"), json={"spec": {"rules": rules}}, headers=MERGE
        )
        changed = good(response)["metadata"]["generation"]
        answered = ask(platform, "moves.example.com")["which-backend"]
        assert answered in ECHOES
        api.wait(
            "ingresses",
            "moves",
            lambda obj, changed=changed: (
                is_ready(obj) and obj["status"]["observedGeneration"] == changed
            ),
        )
        assert ask(platform, "moves.example.com")["which-backend"] == backend


@pytest.mark.usefixtures("backends")
def test_a_redirect_goes_to_https(platform: Platform, api: Api) -> None:
    path = {"splits": [split("foo")], "appendHeaders": {"X-Path": "1"}}
    serve(api, ingress("secure", path, httpOption="Redirected"))

    answer = platform.request("secure.example.com", "/x")

    assert answer.status_code == 301
    assert answer.headers["location"] == f"https://secure.example.com:{platform.https_port}/x"


@pytest.mark.usefixtures("backends")
def test_others_classes_are_left_alone(platform: Platform, api: Api) -> None:
    for number, key in enumerate(("ingress-class", "ingress.class")):
        obj = ingress(f"other-{number}", {"splits": [split("foo")]})
        obj["metadata"]["annotations"] = {f"networking.knative.dev/{key}": "somebody"}
        api.create("ingresses", obj)
    serve(api, ingress("mine", {"splits": [split("foo")]}))

    for number in range(2):
        assert "status" not in api.get("ingresses", f"other-{number}")
        assert platform.request(f"other-{number}.example.com").status_code == 404


@pytest.mark.usefixtures("backends")
@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("absent", {"splits": [split("nobody")]}, "no such Service"),
        ("port", {"splits": [{"serviceName": "foo", "servicePort": 1}]}, "no such Service"),
        ("relative", {"path": "x", "splits": [split("foo")]}, "does not begin with /"),
        (
            "foreign",
            {"splits": [split("foo", serviceNamespace="default")]},
            "Services of other namespaces",
        ),
    ],
)
def test_what_cannot_be_served_is_said(
    platform: Platform, api: Api, name: str, path: Obj, said: str
) -> None:
    api.create("ingresses", ingress(name, path))

    found = api.condition("ingresses", name, "Ready", "False")

    assert found["reason"] == "RouteNotServed"
    assert said in found["message"]
    assert platform.request(f"{name}.example.com").status_code == 404


def test_a_service_that_comes_later_is_served_then(platform: Platform, api: Api) -> None:
    api.create("ingresses", ingress("early", {"splits": [split("late")]}))
    api.condition("ingresses", "early", "Ready", "False")

    create_backend(api, "late")
    api.ready("early", "ingresses")

    assert ask(platform, "early.example.com")["host"] == "early.example.com"
