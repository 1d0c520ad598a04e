"""Schemas of the groups networking.k8s.io, discovery.k8s.io and coordination.k8s.io."""

from __future__ import annotations

NETWORKING = """
Ingress: Rules by which HTTP requests from outside reach services.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec IngressSpec # What is wanted.
  status IngressStatus # What is.

IngressSpec: The rules of an ingress.
  defaultBackend IngressBackend
  ingressClassName string
  rules []IngressRule
  tls []IngressTLS

IngressStatus:
  loadBalancer IngressLoadBalancerStatus

IngressBackend:
  resource TypedLocalObjectReference
  service IngressServiceBackend

IngressRule: The rules for one host.
  host string
  http HTTPIngressRuleValue

IngressTLS:
  hosts []string
  secretName string

IngressLoadBalancerStatus:
  ingress []IngressLoadBalancerIngress

TypedLocalObjectReference:
  apiGroup string
  kind! string
  name! string

IngressServiceBackend:
  name! string
  port ServiceBackendPort

HTTPIngressRuleValue:
  paths! []HTTPIngressPath

IngressLoadBalancerIngress:
  hostname string
  ip string
  ports []IngressPortStatus

ServiceBackendPort:
  name string
  number int32

HTTPIngressPath: A path and the backend behind it.
  backend! IngressBackend
  path string
  pathType! string

IngressPortStatus:
  error string
  port! int32
  protocol! string
"""

DISCOVERY = """
EndpointSlice: Some of the endpoints behind a service.
  addressType! string
  apiVersion string # The version of the schema, as GROUP/VERSION.
  endpoints []Endpoint atomic
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  ports []EndpointPort atomic

Endpoint: One address with its state.
  addresses! []string
  conditions EndpointConditions # Aspects of the state.
  deprecatedTopology {}string
  hints EndpointHints
  hostname string
  nodeName string
  targetRef core.ObjectReference
  zone string

EndpointPort:
  appProtocol string
  name string
  port int32
  protocol string

EndpointConditions: The state of an endpoint.
  ready bool
  serving bool
  terminating bool

EndpointHints:
  forNodes []ForNode
  forZones []ForZone

ForNode:
  name! string

ForZone:
  name! string
"""

COORDINATION = """
Lease: A lock that expires unless its holder renews it.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec LeaseSpec # What is wanted.

LeaseSpec:
  acquireTime microTime
  holderIdentity string
  leaseDurationSeconds int32
  leaseTransitions int32
  preferredHolder string
  renewTime microTime
  strategy string
"""
