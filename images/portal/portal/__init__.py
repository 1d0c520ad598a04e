"""The portal: a start page, the service's own page behind a proxy, and a pressure test.

It is a program of its own for any Kubernetes: what it knows of the cluster it reads with its
ServiceAccount (list pods, get ingresses), and it reaches the service only through the gateway.
"""
