"""Schemas of the core group, but for what pods are made of."""

from __future__ import annotations

CORE = """
Pod: One or more containers that run together on one node.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec PodSpec # What to run.
  status PodStatus # What the node reports.

Service: A stable name, address and ports in front of a set of pods.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec ServiceSpec # What is wanted.
  status ServiceStatus # What is.

Namespace: A scope for names.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec NamespaceSpec # What is wanted.
  status NamespaceStatus # What is.

Node: A machine that runs pods.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec NodeSpec # What is wanted.
  status NodeStatus # What is.

Endpoints: The addresses behind a service, in one object.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  subsets []EndpointSubset atomic

ConfigMap: Configuration data for pods and controllers.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  binaryData {}bytes # Entries as base64.
  data {}string # Entries as text.
  immutable bool # Whether the data can no longer change.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.

Secret: Data to be kept from view, such as passwords and keys.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  data {}bytes # Entries as base64.
  immutable bool # Whether the data can no longer change.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  stringData {}string # Entries as text; only to write.
  type string # What the secret is for.

ServiceAccount: An identity for what runs in pods.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  automountServiceAccountToken bool
  imagePullSecrets []LocalObjectReference atomic
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  secrets []ObjectReference key=name

Event: A report of something that happened to an object.
  action string
  apiVersion string # The version of the schema, as GROUP/VERSION.
  count int32
  eventTime microTime
  firstTimestamp time
  involvedObject! ObjectReference
  kind string # The kind of the object.
  lastTimestamp time
  message string # For people.
  metadata! meta.ObjectMeta # Name, labels, owners and the like.
  reason string # For programs, in one word.
  related ObjectReference
  reportingComponent string
  reportingInstance string
  series EventSeries
  source EventSource
  type string

Binding:
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  target! ObjectReference

ServiceSpec: How a service is reached and which pods are behind it.
  allocateLoadBalancerNodePorts bool
  clusterIP string # The address; given by the server unless set; None for a headless service.
  clusterIPs []string
  externalIPs []string
  externalName string # The DNS name that an ExternalName service stands for.
  externalTrafficPolicy string # Cluster or Local.
  healthCheckNodePort int32
  internalTrafficPolicy string
  ipFamilies []string
  ipFamilyPolicy string
  loadBalancerClass string
  loadBalancerIP string
  loadBalancerSourceRanges []string
  ports []ServicePort key=port+protocol # The ports of the service.
  publishNotReadyAddresses bool
  selector {}string # Labels of the pods behind the service.
  sessionAffinity string # ClientIP or None.
  sessionAffinityConfig SessionAffinityConfig
  trafficDistribution string
  type string # ClusterIP, NodePort, LoadBalancer or ExternalName. Defaults to ClusterIP.

ServiceStatus: Where a service is reached.
  conditions []meta.Condition key=type # Aspects of the state.
  loadBalancer LoadBalancerStatus # The addresses of the load balancer.

NamespaceSpec:
  finalizers []string

NamespaceStatus:
  conditions []NamespaceCondition key=type # Aspects of the state.
  phase string

NodeSpec: What a node is.
  configSource object
  externalID string
  podCIDR string
  podCIDRs []string set
  providerID string
  taints []Taint atomic
  unschedulable bool

NodeStatus: What is known of a node.
  addresses []NodeAddress key=type
  allocatable {}quantity
  capacity {}quantity
  conditions []NodeCondition key=type # Aspects of the state.
  config object
  daemonEndpoints NodeDaemonEndpoints
  features NodeFeatures
  images []ContainerImage
  nodeInfo NodeSystemInfo
  phase string
  runtimeHandlers []NodeRuntimeHandler
  volumesAttached []AttachedVolume
  volumesInUse []string

EndpointSubset:
  addresses []EndpointAddress
  notReadyAddresses []EndpointAddress
  ports []EndpointPort

LocalObjectReference: Names another object in the same namespace.
  name string

ObjectReference: Names another object.
  apiVersion string
  fieldPath string
  kind string
  name string
  namespace string
  resourceVersion string
  uid string

EventSeries:
  count int32
  lastObservedTime microTime

EventSource:
  component string
  host string

ServicePort: A port of a service.
  appProtocol string # The application protocol.
  name string # A name, unique in the service.
  nodePort int32 # The port on every node; given by the server unless set.
  port! int32 # The port of the service.
  protocol string # TCP, UDP or SCTP. Defaults to TCP.
  targetPort intOrString # The port of the pods, by number or name.

SessionAffinityConfig:
  clientIP ClientIPConfig

LoadBalancerStatus: Where a load balancer takes traffic in.
  ingress []LoadBalancerIngress

NamespaceCondition:
  lastTransitionTime time # When the status last changed.
  message string # For people.
  reason string # For programs, in one word.
  status! string # True, False or Unknown.
  type! string

Taint:
  effect! string
  key! string
  timeAdded time
  value string

NodeAddress:
  address! string
  type! string

NodeCondition:
  lastHeartbeatTime time
  lastTransitionTime time # When the status last changed.
  message string # For people.
  reason string # For programs, in one word.
  status! string # True, False or Unknown.
  type! string

NodeDaemonEndpoints:
  kubeletEndpoint DaemonEndpoint

NodeFeatures:
  supplementalGroupsPolicy bool

ContainerImage:
  names []string
  sizeBytes int64

NodeSystemInfo:
  architecture! string
  bootID! string
  containerRuntimeVersion! string
  kernelVersion! string
  kubeProxyVersion! string
  kubeletVersion! string
  machineID! string
  operatingSystem! string
  osImage! string
  runningInUserNamespace bool
  swap NodeSwapStatus
  systemUUID! string

NodeRuntimeHandler:
  features NodeRuntimeHandlerFeatures
  name string

AttachedVolume:
  devicePath! string
  name! string

EndpointAddress:
  hostname string
  ip! string
  nodeName string
  targetRef ObjectReference

EndpointPort:
  appProtocol string
  name string
  port! int32
  protocol string

ClientIPConfig:
  timeoutSeconds int32

LoadBalancerIngress:
  hostname string
  ip string
  ipMode string
  ports []PortStatus

DaemonEndpoint:
  Port! int32

NodeSwapStatus:
  capacity int64

NodeRuntimeHandlerFeatures:
  recursiveReadOnlyMounts bool
  userNamespaces bool

PortStatus:
  error string
  port! int32
  protocol! string
"""

EVENTS = """
Event: A report of something that happened to an object.
  action string # What was done, in one word.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  deprecatedCount int32
  deprecatedFirstTimestamp time
  deprecatedLastTimestamp time
  deprecatedSource core.EventSource
  eventTime! microTime # When it was first seen.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  note string # For people.
  reason string # For programs, in one word.
  regarding core.ObjectReference # The object.
  related core.ObjectReference
  reportingController string # Who reports it.
  reportingInstance string
  series EventSeries
  type string # Normal or Warning.

EventSeries: How often it has happened since.
  count! int32
  lastObservedTime! microTime
"""
