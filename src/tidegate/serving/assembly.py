"""Puts the controllers of serving together."""

from __future__ import annotations

from tidegate.kube.controller import Context, Runnable
from tidegate.kube.events import EventRecorder
from tidegate.serving.config import ConfigStore, ServingSettings
from tidegate.serving.configuration import ConfigurationReconciler
from tidegate.serving.gateway_service import GatewayService
from tidegate.serving.revisions.controller import RevisionReconciler
from tidegate.serving.revisions.gc import RevisionCollector
from tidegate.serving.routes.controller import RouteReconciler
from tidegate.serving.routes.domain_mapping import DomainMappingReconciler
from tidegate.serving.routes.labeler import Labeler
from tidegate.serving.service import ServiceReconciler

__all__ = ["ServingSettings", "build"]


def build(context: Context, *, settings: ServingSettings) -> list[Runnable]:
    """The controllers of serving; the caller runs them and the context's informers."""
    recorder = EventRecorder(context.client, "serving-controller", clock=context.clock)
    config = ConfigStore(context, recorder)
    return [
        config.controller(),
        ServiceReconciler(context, config, recorder).controller(),
        ConfigurationReconciler(context, config, recorder).controller(),
        RevisionReconciler(context, config).controller(),
        RouteReconciler(context, config, settings, recorder).controller(),
        *Labeler(context).controllers(),
        RevisionCollector(context, config).controller(),
        DomainMappingReconciler(context, config, settings).controller(),
        GatewayService(context, settings).controller(),
    ]
