"""The embedded Kubernetes API: store, registry of kinds, patches, and the pipeline over them.

`Api` is the one way in; HTTP and the in-process `LocalClient` are two faces of it.
"""
