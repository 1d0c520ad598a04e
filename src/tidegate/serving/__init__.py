"""Knative Serving: from a Service to its Revisions, their pods' wish and their traffic.

    Service ─▶ Configuration ─▶ Revision ─▶ Deployment, PodAutoscaler, Services
       └─────▶ Route ─▶ Ingress (networking.internal) for the gateways

Conditions travel the same way back. The controllers know nothing of gateways, autoscalers and
nodes but the objects these write.
"""
