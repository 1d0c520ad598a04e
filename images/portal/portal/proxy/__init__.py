"""The service's own page on a port of the portal: a reverse proxy through the gateway."""
