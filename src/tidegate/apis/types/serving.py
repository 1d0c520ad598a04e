"""The shapes of `serving.knative.dev`: Service, Configuration, Revision, Route, DomainMapping."""

from __future__ import annotations

from pydantic import Field

from tidegate.apis.types.base import (
    Addressable,
    Int32,
    Int64,
    JsonObject,
    KReference,
    Model,
    Status,
    TemplateMetadata,
)
from tidegate.apis.types.core import PodSpec


class RevisionSpec(PodSpec):
    """A version of the code and its settings; never changes."""

    container_concurrency: Int64 | None = Field(
        None, description="The most requests at once in one pod; 0 means no limit."
    )
    timeout_seconds: Int64 | None = Field(
        None, description="Seconds until a request must be answered."
    )
    response_start_timeout_seconds: Int64 | None = Field(
        None, description="Seconds until the first byte of an answer must have come."
    )
    idle_timeout_seconds: Int64 | None = Field(
        None, description="Seconds a request may stay open without a byte."
    )


class RevisionTemplate(Model):
    """What the next Revision looks like."""

    metadata: TemplateMetadata | None = Field(
        None, description="Labels and annotations of the Revision, its scaling settings too."
    )
    spec: RevisionSpec | None = Field(None, description="Its code and settings.")


class TrafficTarget(Model):
    """A share of the traffic and where it goes."""

    tag: str | None = Field(
        None, description="Gives the target a URL of its own, named after the tag."
    )
    revision_name: str | None = Field(None, description="The Revision; it stays when others come.")
    configuration_name: str | None = Field(
        None, description="The Configuration whose latest ready Revision is meant."
    )
    latest_revision: bool | None = Field(
        None, description="Whether the latest ready Revision is meant."
    )
    percent: Int64 | None = Field(None, description="Percent of the traffic; all sum to 100.")
    url: str | None = Field(None, description="The tag's URL; only in the status.")


class ConfigurationSpec(Model):
    """The wanted state of a Configuration."""

    template: RevisionTemplate | None = Field(None, description="The next Revision.")


class RouteSpec(Model):
    """The wanted state of a Route."""

    traffic: list[TrafficTarget] | None = Field(
        None, description="How traffic is split among Revisions."
    )


class ServiceSpec(Model):
    """The wanted state of a Service: its next version and its traffic."""

    template: RevisionTemplate | None = Field(
        None, description="The next Revision; a change makes a new one."
    )
    traffic: list[TrafficTarget] | None = Field(
        None, description="How traffic is split among Revisions; all to the latest by default."
    )


class ConfigurationStatus(Status):
    """The observed state of a Configuration."""

    latest_created_revision_name: str | None = Field(None, description="The newest Revision.")
    latest_ready_revision_name: str | None = Field(
        None, description="The newest Revision that is or was ready."
    )


class RouteStatus(Status):
    """The observed state of a Route."""

    url: str | None = Field(None, description="Where clients reach it.")
    address: Addressable | None = Field(None, description="Where the cluster reaches it.")
    traffic: list[TrafficTarget] | None = Field(None, description="The traffic as it flows now.")


class ServiceStatus(Status):
    """The observed state of a Service."""

    latest_created_revision_name: str | None = Field(None, description="The newest Revision.")
    latest_ready_revision_name: str | None = Field(
        None, description="The newest Revision that is or was ready."
    )
    url: str | None = Field(None, description="Where clients reach it.")
    address: Addressable | None = Field(None, description="Where the cluster reaches it.")
    traffic: list[TrafficTarget] | None = Field(None, description="The traffic as it flows now.")


class ContainerDigest(Model):
    """The exact image a container runs."""

    name: str | None = Field(None, description="Name of the container.")
    image_digest: str | None = Field(None, description="Image with its digest.")


class RevisionStatus(Status):
    """The observed state of a Revision."""

    log_url: str | None = Field(None, description="Where its logs are.")
    container_statuses: list[ContainerDigest] | None = Field(None, description="Images in use.")
    init_container_statuses: list[ContainerDigest] | None = Field(
        None, description="Images in use by init containers."
    )
    actual_replicas: Int32 | None = Field(None, description="Pods that run.")
    desired_replicas: Int32 | None = Field(None, description="Pods that should run.")


class SecretTLS(Model):
    """A certificate in a Secret."""

    secret_name: str | None = Field(None, description="Name of the Secret.")


class DomainMappingSpec(Model):
    """The wanted state of a DomainMapping."""

    ref: KReference | None = Field(
        None, description="What the domain leads to, usually a Knative Service."
    )
    tls: SecretTLS | None = Field(None, description="The domain's own certificate.")


class DomainMappingStatus(Status):
    """The observed state of a DomainMapping."""

    url: str | None = Field(None, description="Where clients reach it.")
    address: Addressable | None = Field(None, description="Where the cluster reaches it.")


class TypeMeta(Model):
    """What every object begins with."""

    api_version: str | None = Field(None, description="Version of the object's schema.")
    kind: str | None = Field(None, description="Kind of the object.")
    metadata: JsonObject | None = Field(None, description="Standard object metadata.")


class Service(TypeMeta):
    """A model service: its versions, their traffic and its URL, managed together.

    It owns a Configuration, which makes a Revision of every change of the template, and a
    Route, which splits traffic among Revisions.
    """

    spec: ServiceSpec | None = Field(None, description="The wanted state.")
    status: ServiceStatus | None = Field(None, description="The observed state.")


class Configuration(TypeMeta):
    """The latest wanted version of a service; every change makes a Revision."""

    spec: ConfigurationSpec | None = Field(None, description="The wanted state.")
    status: ConfigurationStatus | None = Field(None, description="The observed state.")


class Revision(TypeMeta):
    """A version of code and settings that never changes and scales with its traffic."""

    spec: RevisionSpec | None = Field(None, description="The wanted state.")
    status: RevisionStatus | None = Field(None, description="The observed state.")


class Route(TypeMeta):
    """Splits the traffic of a URL among Revisions."""

    spec: RouteSpec | None = Field(None, description="The wanted state.")
    status: RouteStatus | None = Field(None, description="The observed state.")


class DomainMapping(TypeMeta):
    """Serves a Knative Service under a domain of one's own; the name is the domain."""

    spec: DomainMappingSpec | None = Field(None, description="The wanted state.")
    status: DomainMappingStatus | None = Field(None, description="The observed state.")
