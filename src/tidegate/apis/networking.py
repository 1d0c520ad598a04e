"""The resources of `networking.internal.knative.dev`: what a Route asks of a gateway."""

from __future__ import annotations

from tidegate.kube.resources import Resource

GROUP = "networking.internal.knative.dev"
PUBLIC_GROUP = "networking.knative.dev"
_CATEGORIES = ("knative-internal", "networking")

INGRESSES = Resource(
    GROUP, "v1alpha1", "Ingress", "ingresses", True, ("kingress", "king"), _CATEGORIES
)
CLUSTER_DOMAIN_CLAIMS = Resource(
    GROUP,
    "v1alpha1",
    "ClusterDomainClaim",
    "clusterdomainclaims",
    False,
    ("cdc",),
    _CATEGORIES,
)

INGRESS_CLASS_ANNOTATION = f"{PUBLIC_GROUP}/ingress-class"
TAG_LABEL = f"{GROUP}/tag"
VISIBILITY_LABEL = f"{PUBLIC_GROUP}/visibility"
# Marks the path of an Ingress for requests that match a rule of a gray release; no client sends
# it, for the gateway drops headers that begin so.
RULE_HEADER = "Tidegate-Traffic-Rule"
ROLLOUT_ANNOTATION = f"{GROUP}/rollout"
