"""What the server knows of each kind: names, schema, defaults, validation, side effects."""
