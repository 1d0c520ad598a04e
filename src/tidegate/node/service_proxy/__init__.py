"""What kube-proxy and a cloud's load balancer do, for one machine: Services that answer."""
