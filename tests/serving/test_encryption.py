"""HTTPS in URLs, conditions and Ingresses: what a Route and a DomainMapping ask of the gateway."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from tests.serving.support import Cluster, running_serving, service
from tests.serving.test_domain_mapping import MAPPING
from tidegate.apis import networking, serving
from tidegate.apis.settings import SettingError, Settings
from tidegate.kube.objects import condition_of
from tidegate.serving.config import ServingSettings

HTTPS = ServingSettings(https_port=8443)


async def provisioned(cluster: Cluster, name: str = "hello") -> tuple[str, str]:
    kind = serving.DOMAIN_MAPPINGS if "." in name else serving.ROUTES
    found = condition_of(await cluster.get(kind, name), "CertificateProvisioned") or {}
    return found.get("status", ""), found.get("reason", "")


async def url(cluster: Cluster, name: str = "hello") -> str:
    kind = serving.DOMAIN_MAPPINGS if "." in name else serving.SERVICES
    return str((await cluster.get(kind, name))["status"]["url"])


async def test_urls_are_https_while_external_domain_tls_is_on(tmp_path: Path) -> None:
    async with running_serving(tmp_path, HTTPS) as cluster:
        await cluster.deploy(service())
        assert await url(cluster) == "http://hello.default.localhost:8080"
        assert await provisioned(cluster) == ("True", "TLSNotEnabled")

        await cluster.set_config("config-network", {"external-domain-tls": "Enabled"})
        assert await url(cluster) == "https://hello.default.localhost:8443"
        assert await provisioned(cluster) == ("True", "")
        local = (await cluster.get(serving.SERVICES, "hello"))["status"]["address"]["url"]
        assert local == "http://hello.default.svc.cluster.local"

        spared = service()
        key = "networking.knative.dev/disable-external-domain-tls"
        spared["metadata"]["annotations"] = {key: "true"}
        await cluster.apply(serving.SERVICES, spared)
        assert await url(cluster) == "http://hello.default.localhost:8080"
        assert await provisioned(cluster) == ("True", "TLSNotEnabled")


async def test_without_an_https_port_urls_stay_http_and_say_why(tmp_path: Path) -> None:
    async with running_serving(tmp_path) as cluster:
        await cluster.set_config("config-network", {"external-domain-tls": "Enabled"})
        await cluster.deploy(service())
        assert await url(cluster) == "http://hello.default.localhost:8080"
        assert await provisioned(cluster) == ("True", "HTTPDowngrade")


async def test_the_scheme_of_a_proxy_in_front_keeps_its_port(tmp_path: Path) -> None:
    async with running_serving(tmp_path) as cluster:
        await cluster.set_config("config-network", {"default-external-scheme": "https"})
        await cluster.deploy(service())
        assert await url(cluster) == "https://hello.default.localhost:8080"


@pytest.mark.parametrize(
    ("config", "annotation", "option"),
    [("Enabled", "", "Enabled"), ("Redirected", "", "Redirected"),
     ("Enabled", "Redirected", "Redirected"), ("Redirected", "enabled", "Enabled")],
)  # fmt: skip
async def test_redirection_comes_from_the_annotation_or_else_from_the_config(
    tmp_path: Path, config: str, annotation: str, option: str
) -> None:
    async with running_serving(tmp_path, HTTPS) as cluster:
        await cluster.set_config("config-network", {"http-protocol": config})
        wanted = service()
        if annotation:
            wanted["metadata"]["annotations"] = {"networking.knative.dev/http-protocol": annotation}
        await cluster.deploy(wanted)
        ingress = await cluster.get(networking.INGRESSES, "hello")
        assert ingress["spec"]["httpOption"] == option


async def test_a_domain_with_a_secret_is_https_and_hands_it_to_the_gateway(tmp_path: Path) -> None:
    async with running_serving(tmp_path, HTTPS) as cluster:
        await cluster.set_config("config-network", {"autocreate-cluster-domain-claims": "true"})
        await cluster.deploy(service())
        mapping = deepcopy(MAPPING)
        mapping["spec"]["tls"] = {"secretName": "shop"}
        await cluster.apply(serving.DOMAIN_MAPPINGS, mapping)

        ingress = await cluster.get(networking.INGRESSES, "models.example.org")
        assert ingress["spec"]["tls"] == [
            {"hosts": ["models.example.org"], "secretName": "shop", "secretNamespace": "default"}
        ]
        assert await url(cluster, "models.example.org") == "https://models.example.org:8443"
        reason = await provisioned(cluster, "models.example.org")
        assert reason == ("True", "CertificateExternallyProvided")

        await cluster.apply(serving.DOMAIN_MAPPINGS, MAPPING)
        ingress = await cluster.get(networking.INGRESSES, "models.example.org")
        assert "tls" not in ingress["spec"]
        assert await url(cluster, "models.example.org") == "http://models.example.org:8080"


async def test_a_domain_with_a_secret_is_not_ready_without_an_https_port(tmp_path: Path) -> None:
    async with running_serving(tmp_path) as cluster:
        await cluster.set_config("config-network", {"autocreate-cluster-domain-claims": "true"})
        await cluster.deploy(service())
        mapping = {**MAPPING, "spec": {**MAPPING["spec"], "tls": {"secretName": "shop"}}}
        await cluster.apply(serving.DOMAIN_MAPPINGS, mapping)
        assert await provisioned(cluster, "models.example.org") == ("False", "TLSNotServed")


def test_the_old_name_of_the_key_is_known_and_the_new_one_wins() -> None:
    def read(**data: str) -> bool:
        keys = {key.replace("_", "-"): value for key, value in data.items()}
        return Settings().with_config_map("config-network", keys).network.external_domain_tls

    assert not read()
    assert read(auto_tls="Enabled")
    assert not read(auto_tls="Enabled", external_domain_tls="Disabled")
    with pytest.raises(SettingError, match="external-domain-tls"):
        read(external_domain_tls="perhaps")
