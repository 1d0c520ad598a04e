"""Deployments: the arithmetic of a rollout, their history of ReplicaSets, and what they report."""
