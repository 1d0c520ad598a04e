"""Schemas of the groups apps and autoscaling."""

from __future__ import annotations

APPS = """
Deployment: Keeps a set of equal pods running and replaces them step by step on a change.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! DeploymentSpec # What is wanted.
  status DeploymentStatus # What is.

ReplicaSet: Keeps a number of equal pods running.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec! ReplicaSetSpec # What is wanted.
  status ReplicaSetStatus # What is.

DeploymentSpec: The pods wanted and how to replace them.
  minReadySeconds int32 # Seconds a pod must be ready to count as available.
  paused bool # Whether changes wait.
  progressDeadlineSeconds int32 # Seconds without progress that count as failure. Defaults to 600.
  replicas int32 # How many pods are wanted. Defaults to 1.
  revisionHistoryLimit int32 # Old ReplicaSets to keep. Defaults to 10.
  selector! meta.LabelSelector # The pods that belong to it; cannot be changed.
  strategy DeploymentStrategy retain # How old pods are replaced.
  template! core.PodTemplateSpec # The pods to make.

DeploymentStatus: How far a deployment has come.
  availableReplicas int32 # Pods that have been ready for long enough.
  collisionCount int32
  conditions []DeploymentCondition key=type # Aspects of the state.
  observedGeneration int64 # The generation that the controller has seen.
  readyReplicas int32 # Pods that are ready.
  replicas int32 # Pods there are.
  terminatingReplicas int32
  unavailableReplicas int32 # Pods still missing.
  updatedReplicas int32 # Pods of the present template.

ReplicaSetSpec: The pods wanted.
  minReadySeconds int32 # Seconds a pod must be ready to count as available.
  replicas int32 # How many pods are wanted. Defaults to 1.
  selector! meta.LabelSelector # The pods that belong to it; cannot be changed.
  template core.PodTemplateSpec # The pods to make.

ReplicaSetStatus: The pods there are.
  availableReplicas int32
  conditions []ReplicaSetCondition key=type # Aspects of the state.
  fullyLabeledReplicas int32
  observedGeneration int64 # The generation that the controller has seen.
  readyReplicas int32
  replicas! int32
  terminatingReplicas int32

DeploymentStrategy: How old pods are replaced by new ones.
  rollingUpdate RollingUpdateDeployment
  type string # RollingUpdate or Recreate. Defaults to RollingUpdate.

DeploymentCondition: One aspect of a deployment's state.
  lastTransitionTime time # When the status last changed.
  lastUpdateTime time
  message string # For people.
  reason string # For programs, in one word.
  status string # What is.
  type string

ReplicaSetCondition:
  lastTransitionTime time # When the status last changed.
  message string # For people.
  reason string # For programs, in one word.
  status string # What is.
  type string

RollingUpdateDeployment: The pace of a rolling update.
  maxSurge intOrString # Pods above the number wanted, as number or percent. Defaults to 25%.
  maxUnavailable intOrString # Pods below the number wanted, as number or percent. Defaults to 25%.
"""

AUTOSCALING = """
Scale: The replicas of a workload.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  spec ScaleSpec # What is wanted.
  status ScaleStatus # What is.

ScaleSpec:
  replicas int32

ScaleStatus:
  replicas! int32
  selector string
"""
