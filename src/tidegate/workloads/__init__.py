"""What a cluster's controller manager does: Deployments become pods, Services find them.

Only the embedded mode runs these controllers; a real cluster has its own.
"""
