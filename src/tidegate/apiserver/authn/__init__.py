"""Who is asking: client certificates and service account tokens."""
