"""The shape of `autoscaling.internal.knative.dev`: PodAutoscaler."""

from __future__ import annotations

from pydantic import Field

from tidegate.apis.types.base import Int32, Int64, Model, Status
from tidegate.apis.types.serving import TypeMeta


class ScaleTarget(Model):
    """What is scaled."""

    api_version: str | None = Field(None, description="API version of the target.")
    kind: str | None = Field(None, description="Kind of the target.")
    name: str | None = Field(None, description="Name of the target.")


class PodAutoscalerSpec(Model):
    """What an autoscaler must know of a Revision."""

    container_concurrency: Int64 | None = Field(
        None, description="The most requests at once in one pod; 0 means no limit."
    )
    scale_target_ref: ScaleTarget | None = Field(None, description="What is scaled.")
    reachability: str | None = Field(
        None, description="Reachable, Unreachable, or empty while it is not known."
    )
    protocol_type: str | None = Field(None, description="http1 or h2c.")


class PodAutoscalerStatus(Status):
    """What the autoscaler found and decided."""

    service_name: str | None = Field(None, description="The Service that reaches the pods.")
    metrics_service_name: str | None = Field(None, description="The Service to scrape.")
    desired_scale: Int32 | None = Field(None, description="Pods that should run.")
    actual_scale: Int32 | None = Field(None, description="Pods that are ready.")


class PodAutoscaler(TypeMeta):
    """Lets the autoscaler of the class in its annotations scale one Revision."""

    spec: PodAutoscalerSpec | None = Field(None, description="The wanted state.")
    status: PodAutoscalerStatus | None = Field(None, description="The observed state.")
