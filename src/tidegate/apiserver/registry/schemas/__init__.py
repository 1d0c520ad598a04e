"""The schemas of the built-in kinds: one source for validation, merge keys and OpenAPI."""
