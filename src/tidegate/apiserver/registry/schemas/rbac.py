"""Schemas of the group rbac.authorization.k8s.io."""

from __future__ import annotations

RBAC = """
Role: Permissions within a namespace.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  rules []PolicyRule

RoleBinding: Gives a role to users, groups and service accounts within a namespace.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  roleRef! RoleRef
  subjects []Subject

ClusterRole: Permissions in the whole cluster.
  aggregationRule AggregationRule
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  rules []PolicyRule

ClusterRoleBinding: Gives a cluster role to users, groups and service accounts in the whole cluster.
  apiVersion string # The version of the schema, as GROUP/VERSION.
  kind string # The kind of the object.
  metadata meta.ObjectMeta # Name, labels, owners and the like.
  roleRef! RoleRef
  subjects []Subject

PolicyRule: Verbs that are allowed on some resources.
  apiGroups []string # The groups of the resources; "" is the core group.
  nonResourceURLs []string # Paths outside the resources.
  resourceNames []string # Only these objects.
  resources []string # The resources; * for all.
  verbs! []string # The verbs allowed; * for all.

RoleRef: The role that a binding gives.
  apiGroup string
  kind! string
  name! string

Subject: Who is given a role.
  apiGroup string
  kind! string
  name! string
  namespace string

AggregationRule:
  clusterRoleSelectors []meta.LabelSelector
"""
