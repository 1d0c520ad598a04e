"""Request bodies in Kubernetes' protobuf encoding, which Go clients prefer for built-in kinds."""
