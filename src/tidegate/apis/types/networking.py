"""The shapes of `networking.internal.knative.dev`: Ingress and ClusterDomainClaim."""

from __future__ import annotations

from pydantic import Field

from tidegate.apis.types.base import Int32, IntOrString, Model, Status
from tidegate.apis.types.serving import TypeMeta


class HeaderMatch(Model):
    """A condition on a header."""

    exact: str | None = Field(None, description="The exact value.")


class IngressSplit(Model):
    """A share of the requests of a path and the Service that takes it."""

    service_namespace: str | None = Field(None, description="Namespace of the Service.")
    service_name: str | None = Field(None, description="Name of the Service.")
    service_port: IntOrString | None = Field(None, description="Port of the Service.")
    percent: Int32 | None = Field(None, description="Percent of the requests.")
    append_headers: dict[str, str] | None = Field(None, description="Headers to add.")


class IngressPath(Model):
    """Requests below a path."""

    path: str | None = Field(None, description="Prefix of the path; empty means all.")
    headers: dict[str, HeaderMatch] | None = Field(None, description="Headers that must match.")
    rewrite_host: str | None = Field(None, description="Replaces the Host header.")
    append_headers: dict[str, str] | None = Field(None, description="Headers to add.")
    splits: list[IngressSplit] | None = Field(None, description="Where they go, by percent.")


class IngressHTTP(Model):
    """The paths of a rule."""

    paths: list[IngressPath] | None = Field(None, description="The first that matches counts.")


class IngressRule(Model):
    """Requests for some hosts."""

    hosts: list[str] | None = Field(None, description="The hosts.")
    visibility: str | None = Field(None, description="ExternalIP or ClusterLocal.")
    http: IngressHTTP | None = Field(None, description="What becomes of their requests.")


class IngressTLS(Model):
    """A certificate for some hosts."""

    hosts: list[str] | None = Field(None, description="The hosts.")
    secret_name: str | None = Field(None, description="Name of the Secret.")
    secret_namespace: str | None = Field(None, description="Namespace of the Secret.")


class IngressSpec(Model):
    """The wanted state of an Ingress."""

    rules: list[IngressRule] | None = Field(None, description="The rules.")
    tls: list[IngressTLS] | None = Field(None, description="The certificates.")
    http_option: str | None = Field(None, description="Enabled or Redirected.")


class LoadBalancerEntry(Model):
    """Where a gateway is reached."""

    ip: str | None = Field(None, description="By address.")
    domain: str | None = Field(None, description="By name.")
    domain_internal: str | None = Field(None, description="By name within the cluster.")
    mesh_only: bool | None = Field(None, description="Only through a mesh.")


class LoadBalancer(Model):
    """Where the gateways are reached."""

    ingress: list[LoadBalancerEntry] | None = Field(None, description="The entries.")


class IngressStatus(Status):
    """The observed state of an Ingress."""

    public_load_balancer: LoadBalancer | None = Field(None, description="For clients.")
    private_load_balancer: LoadBalancer | None = Field(None, description="For the cluster.")
    load_balancer: LoadBalancer | None = Field(None, description="For both.")


class Ingress(TypeMeta):
    """What a Route asks of the gateways."""

    spec: IngressSpec | None = Field(None, description="The wanted state.")
    status: IngressStatus | None = Field(None, description="The observed state.")


class ClusterDomainClaimSpec(Model):
    """Who may use a domain."""

    namespace: str | None = Field(None, description="The namespace that may map the domain.")


class ClusterDomainClaim(TypeMeta):
    """Gives a domain to a namespace; the name is the domain."""

    spec: ClusterDomainClaimSpec | None = Field(None, description="The wanted state.")
