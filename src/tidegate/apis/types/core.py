"""The part of a pod's specification that Knative lets a revision set."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tidegate.apis.types.base import (
    Int32,
    Int64,
    IntOrString,
    JsonObject,
    LocalObjectReference,
    Model,
    Quantity,
)


class KeySelector(Model):
    """One key of a ConfigMap or Secret."""

    name: str | None = Field(None, description="Name of the ConfigMap or Secret.")
    key: str | None = Field(None, description="The key to select.")
    optional: bool | None = Field(None, description="Whether it may be missing.")


class FieldSelector(Model):
    """A field of the pod itself."""

    api_version: str | None = Field(None, description="Version of the schema of the path.")
    field_path: str | None = Field(None, description="Path of the field, e.g. metadata.name.")


class ResourceFieldSelector(Model):
    """A resource of a container."""

    container_name: str | None = Field(None, description="Name of the container.")
    divisor: Quantity | None = Field(None, description="Unit of the exposed value.")
    resource: str | None = Field(None, description="The resource, e.g. limits.cpu.")


class EnvVarSource(Model):
    """Where an environment variable's value comes from; exactly one of the fields."""

    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")
    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    field_ref: FieldSelector | None = Field(
        None,
        description="A field of the pod; behind the feature flag kubernetes.podspec-fieldref.",
    )
    resource_field_ref: ResourceFieldSelector | None = Field(
        None,
        description="A resource of the container; "
        "behind the feature flag kubernetes.podspec-fieldref.",
    )


class EnvVar(Model):
    """An environment variable of a container."""

    name: str | None = Field(None, description="Name of the variable.")
    value: str | None = Field(
        None, description="Its value; $(NAME) is replaced by variables defined before."
    )
    value_from: EnvVarSource | None = Field(None, description="Source of the value.")


class EnvSource(Model):
    """A ConfigMap or Secret all of whose keys become variables."""

    name: str | None = Field(None, description="Name of the ConfigMap or Secret.")
    optional: bool | None = Field(None, description="Whether it may be missing.")


class EnvFromSource(Model):
    """A source of many environment variables; exactly one of the references."""

    prefix: str | None = Field(None, description="Put before every name.")
    config_map_ref: EnvSource | None = Field(None, description="The ConfigMap.")
    secret_ref: EnvSource | None = Field(None, description="The Secret.")


class HTTPHeader(Model):
    """A header that a probe sends."""

    name: str | None = Field(None, description="Name of the header.")
    value: str | None = Field(None, description="Its value.")


class HTTPGetAction(Model):
    """A probe by an HTTP request; 200 to 399 is success."""

    host: str | None = Field(None, description="Host to connect to; the pod's address if empty.")
    path: str | None = Field(None, description="Path of the request.")
    port: IntOrString | None = Field(None, description="Number or name of the port.")
    scheme: str | None = Field(None, description="HTTP or HTTPS.")
    http_headers: list[HTTPHeader] | None = Field(None, description="Headers of the request.")


class TCPSocketAction(Model):
    """A probe by opening a connection."""

    host: str | None = Field(None, description="Host to connect to; the pod's address if empty.")
    port: IntOrString | None = Field(None, description="Number or name of the port.")


class ExecAction(Model):
    """A probe by a command in the container; exit status 0 is success."""

    command: list[str] | None = Field(None, description="The command and its arguments.")


class GRPCAction(Model):
    """A probe by the gRPC health service."""

    port: Int32 | None = Field(None, description="Number of the port.")
    service: str | None = Field(None, description="Name of the service to ask for.")


class Probe(Model):
    """How to find out whether a container is alive or ready; exactly one handler."""

    exec_: ExecAction | None = Field(None, alias="exec", description="A command.")
    http_get: HTTPGetAction | None = Field(None, description="An HTTP request.")
    tcp_socket: TCPSocketAction | None = Field(None, description="A TCP connection.")
    grpc: GRPCAction | None = Field(None, description="A gRPC health check.")
    initial_delay_seconds: Int32 | None = Field(
        None, description="Seconds after the start before the first probe."
    )
    period_seconds: Int32 | None = Field(
        None, description="Seconds between probes; 0 on readiness probes means aggressive."
    )
    timeout_seconds: Int32 | None = Field(None, description="Seconds until a probe has failed.")
    success_threshold: Int32 | None = Field(
        None, description="Successes in a row after which it counts as succeeded."
    )
    failure_threshold: Int32 | None = Field(
        None, description="Failures in a row after which it counts as failed."
    )


class ContainerPort(Model):
    """The port a container listens on."""

    container_port: Int32 | None = Field(None, description="Number of the port, 8080 if not set.")
    name: str | None = Field(
        None, description="h2c for HTTP/2 with prior knowledge; http1 or empty for HTTP/1.1."
    )
    protocol: str | None = Field(None, description="Must be TCP.")


class ResourceRequirements(Model):
    """What a container needs and what it may use at most."""

    limits: dict[str, Quantity] | None = Field(None, description="The most it may use.")
    requests: dict[str, Quantity] | None = Field(None, description="What it needs at least.")
    claims: list[JsonObject] | None = Field(None, description="Claims for devices.")


class Capabilities(Model):
    """Kernel capabilities of a container."""

    add: list[str] | None = Field(None, description="Added ones.")
    drop: list[str] | None = Field(None, description="Removed ones.")


class SeccompProfile(Model):
    """A seccomp profile."""

    type: str | None = Field(None, description="RuntimeDefault, Unconfined or Localhost.")
    localhost_profile: str | None = Field(None, description="Path of the profile for Localhost.")


class SecurityContext(Model):
    """The rights a container runs with."""

    allow_privilege_escalation: bool | None = Field(
        None, description="Whether it may gain more privileges than its parent."
    )
    capabilities: Capabilities | None = Field(None, description="Kernel capabilities.")
    privileged: bool | None = Field(None, description="Only false is allowed.")
    read_only_root_filesystem: bool | None = Field(
        None, description="Whether its root file system is read-only."
    )
    run_as_group: Int64 | None = Field(None, description="Group id of the process.")
    run_as_non_root: bool | None = Field(None, description="Refuse to run as user 0.")
    run_as_user: Int64 | None = Field(None, description="User id of the process.")
    seccomp_profile: SeccompProfile | None = Field(None, description="The seccomp profile.")


class VolumeMount(Model):
    """Where a volume appears in a container."""

    name: str | None = Field(None, description="Name of the volume.")
    mount_path: str | None = Field(None, description="Path in the container.")
    read_only: bool | None = Field(None, description="Whether it is mounted read-only.")
    sub_path: str | None = Field(None, description="Path within the volume.")
    mount_propagation: str | None = Field(
        None,
        description="Behind the feature flag kubernetes.podspec-volumes-mount-propagation.",
    )


class Container(Model):
    """A program of the revision."""

    name: str | None = Field(None, description="Name of the container.")
    image: str | None = Field(None, description="Reference of its image.")
    command: list[str] | None = Field(None, description="Replaces the image's entry point.")
    args: list[str] | None = Field(None, description="Replaces the image's arguments.")
    working_dir: str | None = Field(None, description="Its working directory.")
    env: list[EnvVar] | None = Field(None, description="Environment variables.")
    env_from: list[EnvFromSource] | None = Field(
        None, description="Sources of environment variables."
    )
    image_pull_policy: str | None = Field(None, description="Always, IfNotPresent or Never.")
    ports: list[ContainerPort] | None = Field(
        None, description="The port to send requests to; exactly one container may have one."
    )
    resources: ResourceRequirements | None = Field(None, description="Needs and limits.")
    liveness_probe: Probe | None = Field(None, description="Restart it when this fails.")
    readiness_probe: Probe | None = Field(
        None, description="Send no requests to it while this fails."
    )
    startup_probe: Probe | None = Field(
        None, description="The other probes begin when this has succeeded."
    )
    security_context: SecurityContext | None = Field(None, description="Its rights.")
    termination_message_path: str | None = Field(
        None, description="File whose content becomes the termination message."
    )
    termination_message_policy: str | None = Field(
        None, description="File or FallbackToLogsOnError."
    )
    volume_mounts: list[VolumeMount] | None = Field(None, description="Its volumes.")
    restart_policy: str | None = Field(
        None, description="Always makes an init container a sidecar that starts first."
    )


class KeyToPath(Model):
    """Puts one key into one file."""

    key: str | None = Field(None, description="The key.")
    path: str | None = Field(None, description="Path of the file in the volume.")
    mode: Int32 | None = Field(None, description="Mode of the file.")


class SecretVolume(Model):
    """Files from a Secret."""

    secret_name: str | None = Field(None, description="Name of the Secret.")
    items: list[KeyToPath] | None = Field(None, description="Keys to show; all if empty.")
    default_mode: Int32 | None = Field(None, description="Mode of the files.")
    optional: bool | None = Field(None, description="Whether it may be missing.")


class ConfigMapVolume(Model):
    """Files from a ConfigMap."""

    name: str | None = Field(None, description="Name of the ConfigMap.")
    items: list[KeyToPath] | None = Field(None, description="Keys to show; all if empty.")
    default_mode: Int32 | None = Field(None, description="Mode of the files.")
    optional: bool | None = Field(None, description="Whether it may be missing.")


class ProjectedReference(Model):
    """A ConfigMap or Secret within a projected volume."""

    name: str | None = Field(None, description="Name of the ConfigMap or Secret.")
    items: list[KeyToPath] | None = Field(None, description="Keys to show; all if empty.")
    optional: bool | None = Field(None, description="Whether it may be missing.")


class ServiceAccountTokenProjection(Model):
    """A token of the pod's service account."""

    audience: str | None = Field(None, description="Whom the token is for.")
    expiration_seconds: Int64 | None = Field(None, description="How long it is valid.")
    path: str | None = Field(None, description="Path of the file in the volume.")


class DownwardAPIFile(Model):
    """A file with a field of the pod."""

    path: str | None = Field(None, description="Path of the file in the volume.")
    field_ref: FieldSelector | None = Field(None, description="A field of the pod.")
    resource_field_ref: ResourceFieldSelector | None = Field(
        None, description="A resource of a container."
    )
    mode: Int32 | None = Field(None, description="Mode of the file.")


class DownwardAPIProjection(Model):
    """Files with fields of the pod."""

    items: list[DownwardAPIFile] | None = Field(None, description="The files.")


class VolumeProjection(Model):
    """One source of a projected volume; exactly one of the fields."""

    secret: ProjectedReference | None = Field(None, description="A Secret.")
    config_map: ProjectedReference | None = Field(None, description="A ConfigMap.")
    service_account_token: ServiceAccountTokenProjection | None = Field(
        None, description="A service account token."
    )
    downward_api: DownwardAPIProjection | None = Field(
        None, alias="downwardAPI", description="Fields of the pod."
    )


class ProjectedVolume(Model):
    """Files from several sources."""

    sources: list[VolumeProjection] | None = Field(None, description="The sources; later ones win.")
    default_mode: Int32 | None = Field(None, description="Mode of the files.")


class EmptyDirVolume(Model):
    """An empty directory that lives as long as the pod."""

    medium: str | None = Field(None, description="Memory, or empty for disk.")
    size_limit: Quantity | None = Field(None, description="The most it may hold.")


class PersistentVolumeClaimVolume(Model):
    """A persistent volume."""

    claim_name: str | None = Field(None, description="Name of the claim.")
    read_only: bool | None = Field(None, description="Whether it is mounted read-only.")


class Volume(Model):
    """Files for the containers; exactly one source."""

    name: str | None = Field(None, description="Name of the volume.")
    secret: SecretVolume | None = Field(None, description="A Secret.")
    config_map: ConfigMapVolume | None = Field(None, description="A ConfigMap.")
    projected: ProjectedVolume | None = Field(None, description="Several sources.")
    empty_dir: EmptyDirVolume | None = Field(None, description="An empty directory.")
    persistent_volume_claim: PersistentVolumeClaimVolume | None = Field(
        None,
        description="A persistent volume; "
        "behind the feature flag kubernetes.podspec-persistent-volume-claim.",
    )
    host_path: JsonObject | None = Field(
        None,
        description="A path of the node; behind the feature flag "
        "kubernetes.podspec-volumes-hostpath.",
    )
    csi: JsonObject | None = Field(
        None, description="Behind the feature flag kubernetes.podspec-volumes-csi."
    )
    ephemeral: JsonObject | None = Field(
        None, description="Behind the feature flag kubernetes.podspec-volumes-ephemeral."
    )
    image: JsonObject | None = Field(
        None, description="Behind the feature flag kubernetes.podspec-volumes-image."
    )


def _gated(flag: str) -> Any:
    return Field(None, description=f"Behind the feature flag kubernetes.podspec-{flag}.")


class PodSpec(Model):
    """The part of a pod's specification that a revision may set."""

    containers: list[Container] | None = Field(None, description="The programs; at least one.")
    init_containers: list[Container] | None = _gated("init-containers")
    volumes: list[Volume] | None = Field(None, description="Files for the containers.")
    service_account_name: str | None = Field(
        None, description="Name of the service account to run as."
    )
    image_pull_secrets: list[LocalObjectReference] | None = Field(
        None, description="Secrets for the registries of the images."
    )
    enable_service_links: bool | None = Field(
        None, description="Whether Services appear as environment variables."
    )
    automount_service_account_token: bool | None = Field(
        None, description="Only false is allowed: mount no service account token."
    )
    affinity: JsonObject | None = _gated("affinity")
    topology_spread_constraints: list[JsonObject] | None = _gated("topologyspreadconstraints")
    host_aliases: list[JsonObject] | None = _gated("hostaliases")
    node_selector: dict[str, str] | None = _gated("nodeselector")
    tolerations: list[JsonObject] | None = _gated("tolerations")
    runtime_class_name: str | None = _gated("runtimeclassname")
    security_context: JsonObject | None = _gated("securitycontext")
    share_process_namespace: bool | None = _gated("shareprocessnamespace")
    priority_class_name: str | None = _gated("priorityclassname")
    scheduler_name: str | None = _gated("schedulername")
    dns_policy: str | None = _gated("dnspolicy")
    dns_config: JsonObject | None = _gated("dnsconfig")
    host_ipc: bool | None = Field(
        None, alias="hostIPC", description="Behind the feature flag kubernetes.podspec-hostipc."
    )
    host_pid: bool | None = Field(
        None, alias="hostPID", description="Behind the feature flag kubernetes.podspec-hostpid."
    )
    host_network: bool | None = _gated("hostnetwork")
