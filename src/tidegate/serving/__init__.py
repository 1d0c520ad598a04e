"""Knative Serving: from a Service to its Revisions, their pods' wish and their traffic.

    Service ─▶ Configuration ─▶ Revision ─▶ Deployment, PodAutoscaler, Services
       └─────▶ Route ─▶ Ingress (networking.internal) for the gateways

Conditions travel the same way back. `revisions` and `routes` know nothing of each other, and the
controllers nothing of gateways, autoscalers and nodes, but the objects that these write.
"""
