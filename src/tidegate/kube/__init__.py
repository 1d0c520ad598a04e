"""The language every part of Tidegate speaks: how to read, write and follow Kubernetes objects.

Nothing here knows whether the API behind a `Client` is the embedded server or a real cluster.
"""
