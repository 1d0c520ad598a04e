"""Host names and URLs of Routes, from the templates of `config-network` and `config-domain`."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.apis import networking
from tidegate.apis.settings import CLUSTER_LOCAL_DOMAIN, Settings
from tidegate.apis.templates import render
from tidegate.kube.objects import Object, annotations_of, labels_of, name_of, namespace_of
from tidegate.kube.selectors import selector_from_map
from tidegate.serving.conditions import TRUE, Verdict
from tidegate.serving.config import ServingSettings

Tags = frozenset[str]
NO_TAGS: Tags = frozenset()

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Hosts:
    """The hosts of one tag of a Route; `public` is empty when only the cluster may reach it."""

    public: str
    local: tuple[str, ...]


def is_cluster_local(obj: Object) -> bool:
    """Whether only the cluster may reach a Route, or the tag of a placeholder Service."""
    return labels_of(obj).get(networking.VISIBILITY_LABEL) == "cluster-local"


def host_name(route_name: str, tag: str, settings: Settings) -> str:
    """The Route's part of a host name, `<tag>-<route>` for a tag."""
    if not tag:
        return route_name
    values = {"Name": route_name, "Tag": tag}
    return render(settings.network.tag_template, values)


def domain_of(route: Object, settings: Settings, serving: ServingSettings) -> str:
    """The domain below which a Route's public hosts are: that of the most exact selector."""
    matching = [
        domain
        for domain in settings.domains
        if selector_from_map(domain.selector).matches(labels_of(route))
    ]
    if not matching:
        return serving.domain
    return max(matching, key=lambda domain: (len(domain.selector), domain.name)).name


def hosts_of(
    route: Object,
    tag: str,
    settings: Settings,
    serving: ServingSettings,
    *,
    private: Tags = NO_TAGS,
) -> Hosts:
    """The hosts under which a tag of a Route is served; "" is the Route itself.

    Args:
        private: tags that only the cluster may reach.
    """
    name = host_name(name_of(route), tag, settings)
    namespace = namespace_of(route)
    local = (
        f"{name}.{namespace}",
        f"{name}.{namespace}.svc",
        f"{name}.{namespace}.{CLUSTER_LOCAL_DOMAIN}",
    )
    domain = domain_of(route, settings, serving)
    if tag in private or is_cluster_local(route) or domain == CLUSTER_LOCAL_DOMAIN:
        return Hosts("", local)
    values = {"Name": name, "Namespace": namespace, "Domain": domain}
    template = settings.network.domain_template
    public = render(template, values, annotations=annotations_of(route), labels=labels_of(route))
    return Hosts(public, local)


def local_url(route: Object, tag: str, settings: Settings) -> str:
    """Where the cluster reaches a tag of a Route."""
    name = host_name(name_of(route), tag, settings)
    return f"http://{name}.{namespace_of(route)}.{CLUSTER_LOCAL_DOMAIN}"


def url_of(
    route: Object,
    tag: str,
    settings: Settings,
    serving: ServingSettings,
    *,
    private: Tags = NO_TAGS,
) -> str:
    """Where clients reach a tag of a Route."""
    hosts = hosts_of(route, tag, settings, serving, private=private)
    if not hosts.public:
        return local_url(route, tag, settings)
    encrypted = is_encrypted(route, settings, serving)
    return public_url(hosts.public, settings, serving, encrypted=encrypted)


def is_encrypted(obj: Object, settings: Settings, serving: ServingSettings) -> bool:
    """Whether `external-domain-tls` gives the public hosts of a Route or DomainMapping https."""
    keys = ("disable-external-domain-tls", "disable-auto-tls", "disableAutoTLS")
    annotations = annotations_of(obj)
    texts = [annotations.get(f"{networking.PUBLIC_GROUP}/{key}", "") for key in keys]
    disabled = any(text.lower() == "true" for text in texts)
    return settings.network.external_domain_tls and bool(serving.https_port) and not disabled


def public_url(host: str, settings: Settings, serving: ServingSettings, *, encrypted: bool) -> str:
    """The URL of a host at the gateway; its port stands there unless it is the scheme's own."""
    scheme = "https" if encrypted else settings.network.default_external_scheme
    number = serving.https_port if scheme == "https" else 0
    number = number or serving.gateway_port
    port = "" if number == _PORTS.get(scheme) else f":{number}"
    return f"{scheme}://{host}{port}"


def certificate_verdict(obj: Object, settings: Settings, serving: ServingSettings) -> Verdict:
    """The condition CertificateProvisioned of a Route or DomainMapping.

    The gateway signs what it shows, so there is nothing to wait for.
    """
    if is_encrypted(obj, settings, serving):
        return TRUE
    if settings.network.external_domain_tls and not serving.https_port:
        return Verdict(
            "True", "HTTPDowngrade", "the gateway has no HTTPS port: see `tidegate up --https-port`"
        )
    return Verdict("True", "TLSNotEnabled", "external-domain-tls is not enabled")
