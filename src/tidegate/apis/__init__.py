"""Typed resources: Knative's serving, autoscaling and networking kinds.

The types are the one source of defaults, validation, OpenAPI and the definitions for a cluster.
"""
