"""Schemas of the group metrics: what is measured, and not stored."""

from __future__ import annotations

METRICS = """
NodeMetrics: What a node uses.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  timestamp! time # The end of the window.
  usage! {}quantity # By resource, cpu and memory.
  window! string # The time over which cpu is averaged.

PodMetrics: What a pod's containers use.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  containers! []ContainerMetrics # Those that run.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  timestamp! time # The end of the window.
  window! string # The time over which cpu is averaged.

ContainerMetrics: What a container uses.
  name! string
  usage! {}quantity # By resource, cpu and memory.
"""
