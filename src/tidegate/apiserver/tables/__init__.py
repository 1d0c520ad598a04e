"""Tables: what `kubectl get` shows, rendered by the server."""
