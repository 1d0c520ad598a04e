"""The API over HTTPS: the URL grammar of Kubernetes in front of the `Api`."""
