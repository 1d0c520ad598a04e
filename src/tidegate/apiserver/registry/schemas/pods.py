"""Schemas of what pods are made of."""

from __future__ import annotations

PODS = """
PodTemplateSpec: The pods that a controller makes.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec PodSpec # What is wanted.

PodSpec: What a pod is to run.
  activeDeadlineSeconds int64 # Seconds after which the pod is ended as failed.
  affinity Affinity # Rules for the choice of a node.
  automountServiceAccountToken bool # Whether a token of the service account is mounted.
  containers! []Container key=name # The containers; at least one. Cannot be added or removed.
  dnsConfig PodDNSConfig
  dnsPolicy string # ClusterFirst, ClusterFirstWithHostNet, Default or None.
  enableServiceLinks bool
  ephemeralContainers []EphemeralContainer key=name
  hostAliases []HostAlias key=ip
  hostIPC bool
  hostNetwork bool
  hostPID bool
  hostUsers bool
  hostname string
  imagePullSecrets []LocalObjectReference key=name # Secrets to pull the images with.
  initContainers []Container key=name # Run one after the other before the containers.
  nodeName string # The node that runs the pod.
  nodeSelector {}string # Labels that the node must have.
  os PodOS
  overhead {}quantity
  preemptionPolicy string
  priority int32
  priorityClassName string
  readinessGates []PodReadinessGate atomic
  resourceClaims []PodResourceClaim key=name retain
  resources ResourceRequirements
  restartPolicy string # Always, OnFailure or Never. Defaults to Always.
  runtimeClassName string # The runtime to run the pod with.
  schedulerName string # Who assigns the pod to a node.
  schedulingGates []PodSchedulingGate key=name
  securityContext PodSecurityContext # Security settings of all containers.
  serviceAccount string
  serviceAccountName string # The identity under which the pod runs.
  setHostnameAsFQDN bool
  shareProcessNamespace bool
  subdomain string
  terminationGracePeriodSeconds int64 # Seconds from the request to end to the kill. Defaults to 30.
  tolerations []Toleration atomic # The taints that the pod bears.
  topologySpreadConstraints []TopologySpreadConstraint key=topologyKey+whenUnsatisfiable
  volumes []Volume key=name retain # The volumes that containers can mount.

PodStatus: What is known of a pod's run.
  conditions []PodCondition key=type # Aspects of the state, each True, False or Unknown.
  containerStatuses []ContainerStatus # The state of each container.
  ephemeralContainerStatuses []ContainerStatus
  hostIP string # The address of the node.
  hostIPs []HostIP key=ip
  initContainerStatuses []ContainerStatus
  message string # For people.
  nominatedNodeName string
  observedGeneration int64 # The generation that the controller has seen.
  phase string # Pending, Running, Succeeded, Failed or Unknown.
  podIP string # The address of the pod.
  podIPs []PodIP key=ip
  qosClass string # Guaranteed, Burstable or BestEffort, from the resources.
  reason string # For programs, in one word.
  resize string
  resourceClaimStatuses []PodResourceClaimStatus key=name retain
  startTime time # When the node took the pod.

Affinity: Rules for the choice of a node.
  nodeAffinity NodeAffinity
  podAffinity PodAffinity
  podAntiAffinity PodAntiAffinity

Container: One container of a pod.
  args []string # Arguments of the command; those of the image when empty.
  command []string # The program with its first arguments; that of the image when empty.
  env []EnvVar key=name # Environment variables.
  envFrom []EnvFromSource # ConfigMaps and Secrets whose entries become variables.
  image string # The image to run.
  imagePullPolicy string # Always, IfNotPresent or Never.
  lifecycle Lifecycle # What to do after the start and before the end.
  livenessProbe Probe # When it fails, the container is restarted.
  name! string # Unique in the pod; a DNS label.
  ports []ContainerPort key=containerPort+protocol # What it listens on.
  readinessProbe Probe # While it fails, no traffic reaches the container.
  resizePolicy []ContainerResizePolicy
  resources ResourceRequirements # What the container needs and may use.
  restartPolicy string
  securityContext SecurityContext # Security settings.
  startupProbe Probe # Until it succeeds, the other probes wait.
  stdin bool # Whether standard input is kept open.
  stdinOnce bool
  terminationMessagePath string # The file whose content becomes the last message.
  terminationMessagePolicy string # File or FallbackToLogsOnError.
  tty bool # Whether a terminal is allocated.
  volumeDevices []VolumeDevice key=devicePath
  volumeMounts []VolumeMount key=mountPath # Where volumes appear.
  workingDir string # The directory to run in.

PodDNSConfig:
  nameservers []string
  options []PodDNSConfigOption
  searches []string

EphemeralContainer:
  args []string
  command []string
  env []EnvVar key=name
  envFrom []EnvFromSource
  image string
  imagePullPolicy string
  lifecycle Lifecycle
  livenessProbe Probe
  name! string
  ports []ContainerPort key=containerPort+protocol
  readinessProbe Probe
  resizePolicy []ContainerResizePolicy
  resources ResourceRequirements
  restartPolicy string
  securityContext SecurityContext
  startupProbe Probe
  stdin bool
  stdinOnce bool
  targetContainerName string
  terminationMessagePath string
  terminationMessagePolicy string
  tty bool
  volumeDevices []VolumeDevice key=devicePath
  volumeMounts []VolumeMount key=mountPath
  workingDir string

HostAlias:
  hostnames []string
  ip! string

PodOS:
  name! string

PodReadinessGate:
  conditionType! string

PodResourceClaim:
  name! string
  resourceClaimName string
  resourceClaimTemplateName string

ResourceRequirements: The resources that a container needs and may use.
  claims []ResourceClaim map=name
  limits {}quantity # The most that may be used.
  requests {}quantity # What must be there.

PodSchedulingGate:
  name! string

PodSecurityContext: Security settings of all containers of a pod.
  appArmorProfile AppArmorProfile
  fsGroup int64
  fsGroupChangePolicy string
  runAsGroup int64
  runAsNonRoot bool
  runAsUser int64
  seLinuxChangePolicy string
  seLinuxOptions SELinuxOptions
  seccompProfile SeccompProfile
  supplementalGroups []int64
  supplementalGroupsPolicy string
  sysctls []Sysctl
  windowsOptions WindowsSecurityContextOptions

Toleration: Lets a pod run on nodes with a taint.
  effect string
  key string
  operator string
  tolerationSeconds int64
  value string

TopologySpreadConstraint:
  labelSelector meta.LabelSelector
  matchLabelKeys []string
  maxSkew! int32
  minDomains int32
  nodeAffinityPolicy string
  nodeTaintsPolicy string
  topologyKey! string
  whenUnsatisfiable! string

PodCondition: One aspect of a pod's state.
  lastProbeTime time
  lastTransitionTime time # When the status last changed.
  message string # For people.
  observedGeneration int64 # The generation that the controller has seen.
  reason string # For programs, in one word.
  status! string # True, False or Unknown.
  type! string

ContainerStatus: What is known of a container.
  allocatedResources {}quantity
  allocatedResourcesStatus []ResourceStatus
  containerID string
  image! string
  imageID! string
  lastState ContainerState
  name! string
  ready! bool
  resources ResourceRequirements
  restartCount! int32
  started bool
  state ContainerState
  user ContainerUser
  volumeMounts []VolumeMountStatus

HostIP:
  ip! string

PodIP:
  ip! string

PodResourceClaimStatus:
  name! string
  resourceClaimName string

NodeAffinity:
  preferredDuringSchedulingIgnoredDuringExecution []PreferredSchedulingTerm
  requiredDuringSchedulingIgnoredDuringExecution NodeSelector

PodAffinity:
  preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm
  requiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm

PodAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm
  requiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm

EnvVar: An environment variable of a container.
  name! string # The name of the variable.
  value string # The value; $(NAME) stands for other variables.
  valueFrom EnvVarSource # Takes the value from elsewhere.

EnvFromSource:
  configMapRef ConfigMapEnvSource
  prefix string
  secretRef SecretEnvSource

Lifecycle: What to do when a container starts and before it ends.
  postStart LifecycleHandler
  preStop LifecycleHandler

Probe: A check that the node makes of a container again and again.
  exec ExecAction # Succeeds when the command exits with 0.
  failureThreshold int32 # Failures in a row that count. Defaults to 3.
  grpc GRPCAction # Succeeds when the service says SERVING.
  httpGet HTTPGetAction # Succeeds on a status from 200 to 399.
  initialDelaySeconds int32 # Seconds after the start before the first check.
  periodSeconds int32 # Seconds between checks. Defaults to 10.
  successThreshold int32 # Successes in a row that count. Defaults to 1.
  tcpSocket TCPSocketAction # Succeeds when the port accepts.
  terminationGracePeriodSeconds int64
  timeoutSeconds int32 # Seconds after which a check fails. Defaults to 1.

ContainerPort: A port that a container listens on.
  containerPort! int32 # The number, 1 to 65535.
  hostIP string
  hostPort int32 # The port on the node.
  name string # A name, unique in the pod.
  protocol string # TCP, UDP or SCTP. Defaults to TCP.

ContainerResizePolicy:
  resourceName! string
  restartPolicy! string

SecurityContext: Security settings of a container.
  allowPrivilegeEscalation bool
  appArmorProfile AppArmorProfile
  capabilities Capabilities
  privileged bool
  procMount string
  readOnlyRootFilesystem bool
  runAsGroup int64
  runAsNonRoot bool
  runAsUser int64
  seLinuxOptions SELinuxOptions
  seccompProfile SeccompProfile
  windowsOptions WindowsSecurityContextOptions

PodDNSConfigOption:
  name string
  value string

ResourceClaim:
  name! string
  request string

AppArmorProfile:
  localhostProfile string
  type! string

SELinuxOptions:
  level string
  role string
  type string
  user string

SeccompProfile:
  localhostProfile string
  type! string

Sysctl:
  name! string
  value! string

WindowsSecurityContextOptions:
  gmsaCredentialSpec string
  gmsaCredentialSpecName string
  hostProcess bool
  runAsUserName string

ResourceStatus:
  name! string
  resources []ResourceHealth

ContainerState:
  running ContainerStateRunning
  terminated ContainerStateTerminated
  waiting ContainerStateWaiting

ContainerUser:
  linux LinuxContainerUser

PreferredSchedulingTerm:
  preference! NodeSelectorTerm
  weight! int32

NodeSelector:
  nodeSelectorTerms! []NodeSelectorTerm

WeightedPodAffinityTerm:
  podAffinityTerm! PodAffinityTerm
  weight! int32

PodAffinityTerm:
  labelSelector meta.LabelSelector
  matchLabelKeys []string
  mismatchLabelKeys []string
  namespaceSelector meta.LabelSelector
  namespaces []string
  topologyKey! string

EnvVarSource: Where a variable takes its value from.
  configMapKeyRef ConfigMapKeySelector
  fieldRef ObjectFieldSelector
  resourceFieldRef ResourceFieldSelector
  secretKeyRef SecretKeySelector

ConfigMapEnvSource:
  name string
  optional bool

SecretEnvSource:
  name string
  optional bool

LifecycleHandler:
  exec ExecAction
  httpGet HTTPGetAction
  sleep SleepAction
  tcpSocket TCPSocketAction

ExecAction: A command run in the container.
  command []string

GRPCAction: A gRPC health check.
  port! int32
  service string

HTTPGetAction: An HTTP GET request.
  host string
  httpHeaders []HTTPHeader
  path string
  port! intOrString
  scheme string

TCPSocketAction: Opening a TCP connection.
  host string
  port! intOrString

Capabilities:
  add []string
  drop []string

ResourceHealth:
  health string
  message string # For people.
  resourceID! string

ContainerStateRunning:
  startedAt time

ContainerStateTerminated:
  containerID string
  exitCode! int32
  finishedAt time
  message string # For people.
  reason string # For programs, in one word.
  signal int32
  startedAt time

ContainerStateWaiting:
  message string # For people.
  reason string # For programs, in one word.

LinuxContainerUser:
  gid! int32
  supplementalGroups []int64
  uid! int32

NodeSelectorTerm:
  matchExpressions []NodeSelectorRequirement
  matchFields []NodeSelectorRequirement

ConfigMapKeySelector:
  key! string
  name string
  optional bool

ObjectFieldSelector:
  apiVersion string
  fieldPath! string

ResourceFieldSelector:
  containerName string
  divisor quantity
  resource! string

SecretKeySelector:
  key! string
  name string
  optional bool

SleepAction:
  seconds! int32

HTTPHeader:
  name! string
  value! string

NodeSelectorRequirement:
  key! string
  operator! string
  values []string
"""

VOLUMES = """
Volume: A directory that the containers of a pod can mount.
  awsElasticBlockStore object
  azureDisk object
  azureFile object
  cephfs object
  cinder object
  configMap ConfigMapVolumeSource
  csi object
  downwardAPI DownwardAPIVolumeSource
  emptyDir EmptyDirVolumeSource
  ephemeral object
  fc object
  flexVolume object
  flocker object
  gcePersistentDisk object
  gitRepo object
  glusterfs object
  hostPath HostPathVolumeSource
  image ImageVolumeSource
  iscsi object
  name! string # A name, unique in the pod.
  nfs object
  persistentVolumeClaim PersistentVolumeClaimVolumeSource
  photonPersistentDisk object
  portworxVolume object
  projected ProjectedVolumeSource
  quobyte object
  rbd object
  scaleIO object
  secret SecretVolumeSource
  storageos object
  vsphereVolume object

VolumeDevice:
  devicePath! string
  name! string

VolumeMount: Where a volume appears in a container.
  mountPath! string # The path in the container.
  mountPropagation string
  name! string # The volume.
  readOnly bool # Whether it can be read only.
  recursiveReadOnly string
  subPath string # A path within the volume.
  subPathExpr string

ConfigMapVolumeSource:
  defaultMode int32
  items []KeyToPath
  name string
  optional bool

DownwardAPIVolumeSource:
  defaultMode int32
  items []DownwardAPIVolumeFile

EmptyDirVolumeSource:
  medium string
  sizeLimit quantity

HostPathVolumeSource:
  path! string
  type string

ImageVolumeSource:
  pullPolicy string
  reference string

PersistentVolumeClaimVolumeSource:
  claimName! string
  readOnly bool

ProjectedVolumeSource:
  defaultMode int32
  sources []VolumeProjection

SecretVolumeSource:
  defaultMode int32
  items []KeyToPath
  optional bool
  secretName string

VolumeMountStatus:
  mountPath! string
  name! string
  readOnly bool
  recursiveReadOnly string

KeyToPath:
  key! string
  mode int32
  path! string

DownwardAPIVolumeFile:
  fieldRef ObjectFieldSelector
  mode int32
  path! string
  resourceFieldRef ResourceFieldSelector

VolumeProjection:
  clusterTrustBundle object
  configMap ConfigMapProjection
  downwardAPI DownwardAPIProjection
  secret SecretProjection
  serviceAccountToken ServiceAccountTokenProjection

ConfigMapProjection:
  items []KeyToPath
  name string
  optional bool

DownwardAPIProjection:
  items []DownwardAPIVolumeFile

SecretProjection:
  items []KeyToPath
  name string
  optional bool

ServiceAccountTokenProjection:
  audience string
  expirationSeconds int64
  path! string
"""

SCHEDULING = """
PriorityClass: What pods that name it have as their priority.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  description string # When this class is to be used.
  globalDefault bool # Whether pods that name no class are of this one.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  preemptionPolicy string # Never, or PreemptLowerPriority.
  value! int32 # The priority; more is more important.
"""
